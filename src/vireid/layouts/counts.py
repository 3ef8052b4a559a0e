"""Image counts per person and camera: the shapes of the real sets, for any number of people.

SYSU-MM01's test part is known image by image: ``sysu_counts.csv`` has one row for each of its 96 people, in sorted
order, and one column per camera (from the column counts in the set's ``rand_perm_cam.mat``). The column sums are 1,374,
1,565, 1,883, 1,918, 1,918 and 1,920. For the other parts the papers give totals (SYSU-MM01: Wu et al., ICCV 2017; LLCM:
Zhang and Wang, CVPR 2023); their rows are drawn at random and then scaled to match the totals.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Random = Callable[..., np.random.Generator]

SYSU_INFRARED = np.array([False, False, True, False, False, True])
OUTDOORS_ONLY, INDOORS_ONLY = 0.43, 0.05  # shares of the training people that approximate the published totals


def sysu_test(random: Random, people: int) -> Counts:
    """Images (people, 6) of SYSU-MM01's test people; 96 of them are exactly the real ones, in another order."""
    return _rows(random, people, 0)


def sysu_training(random: Random, people: int, size: int, *totals: int) -> Counts:
    """Images (people, 6) of SYSU-MM01-like training people; the real part has ``size`` people and ``totals`` images,
    visible and infrared.

    They are rows of the test table; some lose the indoor cameras 1 to 3 or the outdoor ones 4 to 6, because the
    training part has fewer images per person.
    """
    rows = _rows(random, people, 1)
    sides = random(9, 2).random(people)
    rows[sides < OUTDOORS_ONLY, :3] = 0
    seen_indoors = rows[:, :2].any(axis=1) & (rows[:, 2] > 0)
    rows[(sides >= 1.0 - INDOORS_ONLY) & seen_indoors, 3:] = 0
    for infrared, total in zip((False, True), totals, strict=True):
        columns = np.flatnonzero(SYSU_INFRARED if infrared else ~SYSU_INFRARED)
        rows[:, columns] = scaled(rows[:, columns], round(total * people / size))
    return rows


def llcm(random: Random, people: int, training: bool, size: int, *totals: int) -> Counts:
    """Images (people, 9 cameras, 2 modalities) of LLCM-like people; ``size`` and ``totals`` as for `sysu_training`.

    Everybody passes five to nine cameras, by day and by night.
    """
    rng = random(9, 3, int(training))
    rows = rng.integers(2, 5, (people, 9, 2))
    passed = rng.integers(5, 10, people)
    order = rng.permuted(np.tile(np.arange(9), (people, 1)), axis=1)
    rows[order >= passed[:, None]] = 0
    for modality, total in enumerate(totals):
        rows[:, :, modality] = scaled(rows[:, :, modality], round(total * people / size))
    return rows


def scaled(counts: Counts, total: int) -> Counts:
    """Scale integers to an exact sum by largest remainders; among equal remainders the first wins; 0 stays 0.

    No other count becomes 0 as long as ``total`` is at least ``counts.sum() / smallest count``.
    """
    flat = counts.ravel()
    exact = flat * total
    whole: Counts = exact // flat.sum()
    remainder = exact % flat.sum()
    short = total - int(whole.sum())
    whole[np.argsort(-remainder, kind="stable")[:short]] += 1
    return whole.reshape(counts.shape)


def _rows(random: Random, people: int, key: int) -> Counts:
    """Deal out the rows of the real table: all of them once before any comes again."""
    table = _table()
    rng = random(9, key)
    order = np.concatenate([rng.permutation(len(table)) for _ in range(-(-people // len(table)))])
    rows: Counts = table[order[:people]]
    return rows


@cache
def _table() -> Counts:
    text = (resources.files("vireid.layouts") / "sysu_counts.csv").read_text()
    return np.array([[int(word) for word in line.split(",")] for line in text.splitlines()[1:]])
