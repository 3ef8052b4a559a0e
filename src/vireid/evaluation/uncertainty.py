"""Uncertainty of the numbers: intervals and a paired test, both over identities.

Images of one identity succeed or fail together, so the identity is the unit that is drawn, never the query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vireid.evaluation.metrics import NUMBERS, QueryScores
from vireid.types import VireidError


@dataclass(frozen=True)
class Difference:
    """First minus second run: ``mean``, its 95 % interval ``low`` to ``high``, two-sided ``p`` of none.

    All but ``p`` are fractions, negative where the second run is better.
    """

    mean: float
    low: float
    high: float
    p: float


def intervals(
    trials: Sequence[QueryScores], *, samples: int = 2000, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return percentile bootstrap intervals over identities.

    Each sample draws as many identities as there are, with replacement, and takes all queries of the drawn
    ones in all trials. The interval speaks of other people in front of the same cameras and the same model;
    it holds neither training noise nor other galleries.

    Args:
        trials: scores per trial, as in `Result.trials`.
        samples: bootstrap samples.
        level: share of the samples inside the interval.
        seed: of the draws; the same scores and seed give the same interval.

    Returns:
        (low, high) fractions for each of rank1, rank5, rank10, rank20, map, minp.
    """
    sums, counts = identity_sums(trials)
    means = _resampled(sums, counts, samples, seed)
    tail = (1 - level) / 2
    bounds = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)
    return {name: (float(low), float(high)) for name, low, high in zip(NUMBERS, *bounds, strict=True)}


def compare(
    first: Sequence[QueryScores], second: Sequence[QueryScores], *, samples: int = 10_000, seed: int = 0
) -> dict[str, Difference]:
    """Test two runs on the same queries and galleries against each other.

    Sign-flip permutation test: if the runs were equally good, swapping their labels on any identity would
    change nothing; p is the share of random swaps (the observed one counted) whose difference is at least as
    large.

    Args:
        first: scores per trial of a run, as in `Result.trials`.
        second: those of the other run, in the same setting.
        samples: random swaps and bootstrap samples; p is never below 1 / (samples + 1).
        seed: of the draws.

    Returns:
        a `Difference` for each of rank1, rank5, rank10, rank20, map, minp.

    Raises:
        VireidError: the two runs differ in their queries, or in how many images or true matches a query has.

    Examples:
        >>> import torch, vireid
        >>> people, cameras = torch.arange(40), torch.ones(40, dtype=torch.int64)
        >>> noise = torch.randn(2, 40, 40, generator=torch.Generator().manual_seed(0))
        >>> day = vireid.Features(torch.eye(40), people, cameras, modalities=torch.zeros_like(people))
        >>> def model(error):
        ...     night = vireid.Features(torch.eye(40) + error, people, cameras, modalities=torch.ones_like(people))
        ...     return vireid.score(night, day)
        >>> gain = vireid.compare(model(noise[0] / 4).trials, model(noise[1]).trials)["rank1"]
        >>> gain.mean > 0.3, gain.p < 0.01
        (True, True)
    """
    same = len(first) == len(second) and all(
        all(torch.equal(getattr(a, of), getattr(b, of)) for of in ("identities", "matches", "candidates"))
        for a, b in zip(first, second, strict=True)
    )
    if not same:
        raise VireidError("compare: the runs were scored on different queries or galleries; use one setting for both")
    (left, counts), (right, _) = identity_sums(first), identity_sums(second)
    change = left - right
    observed = change.sum(dim=0) / counts.sum()
    generator = torch.Generator().manual_seed(seed)
    extreme = torch.zeros(len(NUMBERS), dtype=torch.int64)
    for part in _parts(samples, len(change)):
        signs = torch.randint(2, (part, len(change)), generator=generator).double() * 2 - 1
        # The small allowance counts swaps that equal the observed difference but for rounding.
        extreme += ((signs @ change / counts.sum()).abs() >= observed.abs() * (1 - 1e-9)).sum(dim=0)
    p = (extreme + 1).double() / (samples + 1)
    bounds = torch.quantile(
        _resampled(change, counts, samples, seed), torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0
    )
    rows = torch.stack([observed, *bounds, p], dim=1).tolist()
    return {name: Difference(*row) for name, row in zip(NUMBERS, rows, strict=True)}


def identity_sums(trials: Sequence[QueryScores]) -> tuple[Tensor, Tensor]:
    """Return the six numbers summed over each identity's valid queries, (identities, 6), and their counts.

    Identities ascend; the numbers are in the order of `NUMBERS`.

    Raises:
        VireidError: no query has a true match.
    """
    scores = QueryScores.cat(list(trials))
    valid = scores[scores.valid]
    if not len(valid):
        raise VireidError("no query has a true match in the gallery; there is nothing to resample")
    found = [valid.cmc_rank <= rank for rank in (1, 5, 10, 20)]
    values = torch.stack([*found, valid.average_precision, valid.inverse_negative_penalty], dim=1).double().cpu()
    people, index, counts = torch.unique(valid.identities.cpu(), return_inverse=True, return_counts=True)
    return values.new_zeros(len(people), len(NUMBERS)).index_add_(0, index, values), counts.double()


def _resampled(sums: Tensor, counts: Tensor, samples: int, seed: int) -> Tensor:
    """Return the means of (samples, 6) draws of identities with replacement."""
    generator = torch.Generator().manual_seed(seed)
    people, means = len(counts), []
    for part in _parts(samples, people):
        drawn = torch.randint(people, (part, people), generator=generator)
        weights = torch.zeros(part, people, dtype=torch.float64)
        weights.scatter_add_(1, drawn, torch.ones_like(weights))
        means.append((weights @ sums) / (weights @ counts)[:, None])
    return torch.cat(means)


def _parts(samples: int, people: int) -> list[int]:
    """Split the samples so that one part draws at most about a million identities."""
    size = max(1, 2**20 // people)
    return [min(size, samples - start) for start in range(0, samples, size)]
