"""The difficulty dial against a model that does not change: what is called harder is harder."""

from __future__ import annotations

from dataclasses import fields
from functools import cache

import numpy as np
import pytest

from tests.reference.dial import Model, alone, errors, hit_rates, learn
from tests.reference.leakage import Array
from vireid.synthetic import Difficulty, Spectrum

PEOPLE = 120


@cache
def model(spectrum: Spectrum) -> Model:
    return learn(spectrum, PEOPLE if spectrum is Spectrum.VISIBLE else 2 * PEOPLE)


@cache
def errors_at(difficulty: Difficulty, spectrum: Spectrum = Spectrum.NEAR) -> Array:
    return errors(model(spectrum), difficulty, PEOPLE)


@pytest.mark.parametrize(
    ("spectrum", "levels"),
    [(Spectrum.VISIBLE, (0.0, 0.25, 0.5, 0.75, 1.0)), (Spectrum.NEAR, (0.0, 0.25, 0.5, 1.0))],
)
def test_the_error_of_a_fixed_model_rises_with_the_dial(spectrum: Spectrum, levels: tuple[float, ...]) -> None:
    """Across modalities so small a model is near chance, 0.9, beyond 0.5; there the steps are wider."""
    means = [float(errors_at(Difficulty.even(level), spectrum).mean()) for level in levels]
    assert means[0] < 0.6
    assert np.diff(means).min() > 0.02, means


@pytest.mark.parametrize("part", [part.name for part in fields(Difficulty)])
def test_no_part_of_the_dial_makes_it_easier(part: str) -> None:
    added = errors_at(alone(part, 1.0)) - errors_at(Difficulty.even(0.0))
    assert added.mean() > -2.0 * added.std() / PEOPLE**0.5  # light may leave a model of gradients alone


def test_the_expected_rank_1_of_a_small_gallery_is_that_of_drawn_galleries() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.normal(size=(30, 30)) + np.eye(30)
    hits = []
    for _ in range(4000):
        row = int(rng.integers(30))
        others = rng.choice(np.delete(np.arange(30), row), 9, replace=False)
        hits.append(similarity[row, row] > similarity[row, others].max())
    assert hit_rates(similarity).mean() == pytest.approx(np.mean(hits), abs=0.03)
