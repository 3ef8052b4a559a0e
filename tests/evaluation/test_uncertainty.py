"""Intervals and the paired test: agreement with slow versions and with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.evaluation import datasets
from vireid.evaluation import score_setting, settings_for
from vireid.evaluation.metrics import QueryScores
from vireid.evaluation.uncertainty import compare, intervals
from vireid.types import Modality, VireidError

CELLS = [(c, i, Modality(c - 1), 3) for i in range(30) for c in (1, 2)]
DATA = datasets.dataset("folder", CELLS)
SETTING = settings_for(DATA)[0]


def scores(noise: float, seed: int = 0) -> tuple[QueryScores, ...]:
    return score_setting(datasets.features(DATA, noise=noise, seed=seed), SETTING).trials


def test_interval_equals_resampling_one_identity_after_the_other() -> None:
    trials = scores(2.0)
    found = intervals(trials, samples=4000)
    generator = np.random.default_rng(1)
    precision = trials[0].average_precision.numpy().reshape(30, 3)
    means = [precision[generator.integers(30, size=30)].mean() for _ in range(4000)]
    low, high = np.quantile(means, [0.025, 0.975])
    assert found["map"] == pytest.approx((low, high), abs=0.1 * (high - low))
    assert found["map"][0] < precision.mean() < found["map"][1]
    assert found == intervals(trials, samples=4000)


def test_interval_counts_identities_and_not_their_images() -> None:
    trials = scores(2.0)
    copied = tuple(t[torch.arange(len(t)).repeat(4)] for t in trials)
    wanted = intervals(trials)
    for name, bounds in intervals(copied).items():
        assert bounds == pytest.approx(wanted[name])


def test_equal_runs_differ_by_nothing() -> None:
    trials = scores(2.0)
    for difference in compare(trials, trials, samples=200).values():
        assert (difference.mean, difference.low, difference.high, difference.p) == (0, 0, 0, 1)


def test_a_better_run_is_found_and_signed() -> None:
    better, worse = scores(0.8), scores(3.0)
    found = compare(better, worse, samples=2000)["map"]
    assert found.mean == pytest.approx(float((better[0].average_precision - worse[0].average_precision).mean()))
    assert 0 < found.low < found.mean < found.high
    assert found.p == pytest.approx(1 / 2001)
    mirrored = compare(worse, better, samples=2000)["map"]
    assert mirrored.mean == pytest.approx(-found.mean)
    assert mirrored.p == found.p


def test_p_is_that_of_all_swaps() -> None:
    # Three identities: eight ways to swap, which can be listed.
    def side(values: list[float]) -> QueryScores:
        precision = torch.tensor(values, dtype=torch.float64)
        ones = torch.ones(3, dtype=torch.int64)
        return QueryScores(ones, ones, ones, ones, precision, torch.arange(3), ones)

    first, second = [0.9, 0.8, 0.3], [0.5, 0.6, 0.4]
    change = np.array(first) - np.array(second)
    swaps = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1)
    extreme = np.abs(change @ swaps) >= abs(change.sum()) - 1e-12
    found = compare([side(first)], [side(second)], samples=20_000)["map"]
    assert found.p == pytest.approx(extreme.mean(), abs=0.02)


def test_different_queries_cannot_be_compared() -> None:
    trials = scores(1.0)
    with pytest.raises(VireidError, match="different queries"):
        compare(trials, (trials[0][torch.arange(5)],))
    with pytest.raises(VireidError, match="different queries"):
        compare(trials, trials + trials)
    larger = replace(trials[0], candidates=trials[0].candidates + 1)
    with pytest.raises(VireidError, match="different queries or galleries"):
        compare(trials, (larger,))


def test_no_valid_query() -> None:
    nothing = scores(1.0)[0][torch.zeros(0, dtype=torch.int64)]
    with pytest.raises(VireidError, match="nothing to resample"):
        intervals([nothing])
