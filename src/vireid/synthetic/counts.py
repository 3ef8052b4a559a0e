"""Image counts per person and camera: the shapes of the real sets, for any number of people.

SYSU-MM01's test part is known image by image: ``sysu_counts.csv`` has one row for each of its 96 people, in sorted
order, and one column per camera (from the column counts in the set's ``rand_perm_cam.mat``). The column sums are 1,374,
1,565, 1,883, 1,918, 1,918 and 1,920. For the other parts the papers give totals (SYSU-MM01: Wu et al., ICCV 2017; LLCM:
Zhang and Wang, CVPR 2023); their rows are drawn at random and then scaled to match the totals.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from vireid.synthetic.identity import stream

Counts = npt.NDArray[np.int64]

SYSU_TRAINING = (395, 22_258, 11_909)  # people, visible and infrared images
LLCM_TRAINING = (713, 16_946, 13_975)
LLCM_TEST = (351, 8_680, 7_166)
SYSU_INFRARED = np.array([False, False, True, False, False, True])
OUTDOORS_ONLY, INDOORS_ONLY = 0.43, 0.05  # shares of the training people that approximate the published totals


def sysu_test(seed: int, people: int) -> Counts:
    """Return images (people, 6) of test people as in SYSU-MM01; for 96 people, exactly the real counts, reordered."""
    return _rows(seed, people, 0)


def sysu_training(seed: int, people: int) -> Counts:
    """Return images (people, 6) of training people as in SYSU-MM01: 22,258 and 11,909 for 395 people.

    They are rows of the test table; some lose the indoor cameras 1 to 3 or the outdoor ones 4 to 6, because the
    training part has fewer images per person.
    """
    rows = _rows(seed, people, 1)
    sides = stream(seed, 9, 2).random(people)
    rows[sides < OUTDOORS_ONLY, :3] = 0
    seen_indoors = rows[:, :2].any(axis=1) & (rows[:, 2] > 0)
    rows[(sides >= 1.0 - INDOORS_ONLY) & seen_indoors, 3:] = 0
    size, *totals = SYSU_TRAINING
    for infrared, total in zip((False, True), totals, strict=True):
        columns = np.flatnonzero(SYSU_INFRARED if infrared else ~SYSU_INFRARED)
        rows[:, columns] = scaled(rows[:, columns], round(total * people / size))
    return rows


def llcm(seed: int, people: int, training: bool) -> Counts:
    """Return images (people, 9 cameras, 2 modalities) of people as in LLCM: 46,767 for the real 713 and 351.

    Everybody passes five to nine cameras, by day and by night.
    """
    size, *totals = LLCM_TRAINING if training else LLCM_TEST
    rng = stream(seed, 9, 3, training)
    rows = rng.integers(2, 5, (people, 9, 2))
    passed = rng.integers(5, 10, people)
    order = rng.permuted(np.tile(np.arange(9), (people, 1)), axis=1)
    rows[order >= passed[:, None]] = 0
    for modality, total in enumerate(totals):
        rows[:, :, modality] = scaled(rows[:, :, modality], round(total * people / size))
    return rows


def scaled(counts: Counts, total: int) -> Counts:
    """Scale integers to an exact sum by largest remainders; of equal remainders the first wins; 0 stays 0.

    No other count becomes 0 as long as ``total`` is at least ``counts.sum() / smallest count``.
    """
    flat = counts.ravel()
    exact = flat * total
    whole: Counts = exact // flat.sum()
    remainder = exact % flat.sum()
    short = total - int(whole.sum())
    whole[np.argsort(-remainder, kind="stable")[:short]] += 1
    return whole.reshape(counts.shape)


def _rows(seed: int, people: int, key: int) -> Counts:
    """Deal out the rows of the real table, each of them once before any is repeated."""
    table = _table()
    rng = stream(seed, 9, key)
    order = np.concatenate([rng.permutation(len(table)) for _ in range(-(-people // len(table)))])
    rows: Counts = table[order[:people]]
    return rows


@cache
def _table() -> Counts:
    text = (resources.files("vireid.synthetic") / "sysu_counts.csv").read_text()
    return np.array([[int(word) for word in line.split(",")] for line in text.splitlines()[1:]])
