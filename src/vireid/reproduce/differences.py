"""One row of a table against another: differences of paired runs, with intervals over seeds and over identities."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.stats

from vireid.layouts import Search
from vireid.reproduce.grid import Grid
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import NUMBERS, read_identities
from vireid.types import VireidError

LEVEL = 0.95


@dataclass(frozen=True)
class PairedDifference:
    """Mean over seeds of first minus second run, and half the width of its 95 % intervals; all in points (percent).

    ``seeds``: Student's t over the seeds' differences: other trainings, the same test people. ``both``: other test
    people too; the variance over identities, which holds some of the seeds' noise as well, is added, so that this
    interval is rather too wide than too narrow. Infinite for one seed.
    """

    mean: float
    seeds: float
    both: float


def paired(grid: Grid, first: Sequence[Job], second: Sequence[Job], search: Search) -> dict[str, PairedDifference]:
    """Return the differences of r1, r10, r20 and map between two variants, seed by seed.

    Raises:
        VireidError: a run without results, or results on other queries than its partner's.
    """
    ours, others = ([read_identities(grid, job, search) for job in jobs] for jobs in (first, second))
    counts = ours[0][:, 0]
    if any(each.shape != ours[0].shape or not np.array_equal(each[:, 0], counts) for each in (*ours, *others)):
        raise VireidError(f"{grid.out / 'runs'}: runs were evaluated on different queries; delete their results")
    change = np.stack(ours)[:, :, 1:] - np.stack(others)[:, :, 1:]
    return {name: difference(change[:, :, k], counts) for k, name in enumerate(NUMBERS)}


def difference(change: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> PairedDifference:
    """Return the mean and intervals of a number's difference.

    Args:
        change: (seeds, identities) difference of the sums over an identity's queries.
        counts: (identities,) queries.
    """
    queries, (seeds, people) = counts.sum(), change.shape
    by_seed = [float(value) for value in change.sum(1) / queries]
    mean = statistics.fmean(by_seed)
    if seeds < 2:
        return PairedDifference(100 * mean, math.inf, math.inf)
    over_seeds = statistics.variance(by_seed) / seeds
    rest = change.mean(0) - mean * counts
    over_people = people / max(people - 1, 1) * float(np.square(rest).sum()) / queries**2
    width = 100 * float(scipy.stats.t.ppf((1 + LEVEL) / 2, seeds - 1))
    return PairedDifference(100 * mean, width * math.sqrt(over_seeds), width * math.sqrt(over_seeds + over_people))
