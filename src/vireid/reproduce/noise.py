"""Accuracy under corrupted pictures: the mean corruption curve, and the error relative to another run."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vireid.data.layouts import open_data, open_pixels
from vireid.data.pixels import PixelStore
from vireid.evaluation.protocols import settings_for
from vireid.evaluation.results import evaluate
from vireid.figures.points import Series, points_figure
from vireid.figures.style import write_figure
from vireid.files import atomic_path
from vireid.reproduce.corruptions import CORRUPTIONS
from vireid.training.checkpoint import load_run
from vireid.training.device import default_device
from vireid.training.embed import FEATURES, embed
from vireid.training.split import unseen
from vireid.types import VireidError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRENGTHS = (1, 2, 3, 4, 5)
Scores = dict[str, list[dict[str, float]]]
"""By corruption, rank1 and map (fractions) of the strengths 0 (clean) to 5."""


class CorruptedStore(PixelStore):
    """The images of another store, corrupted; row i is seeded by i."""

    def __init__(self, store: PixelStore, kind: str, strength: int) -> None:
        self._store, self._kind, self._strength = store, kind, strength

    def __len__(self) -> int:
        return len(self._store)

    def batch(self, rows: npt.NDArray[np.int64] | Tensor) -> Tensor:
        """Corrupted images of the given rows, (b, 3, height, width) uint8."""
        seeds = [int(row) for row in rows]
        return CORRUPTIONS[self._kind](self._store.batch(rows), self._strength, seeds)


def corruption_scores(folder: Path, data: Path | None, progress: Callable[[int, int], None] | None = None) -> Scores:
    """Score a run with all test images, queries and gallery alike, corrupted; in the first setting of the layout.

    Raises:
        VireidError: not a run, not a data set.
    """
    run = load_run(folder, default_device())
    dataset = unseen(open_data(run.recipe.data, data, run.info["trial"] or 1), run.info)
    setting = settings_for(dataset)[0]
    store = open_pixels(dataset, dataset.test, run.recipe.data)
    total, done = 1 + len(CORRUPTIONS) * len(STRENGTHS), 0

    def score(pixels: PixelStore) -> dict[str, float]:
        nonlocal done
        features = embed(run.network, pixels, dataset.test, precision=run.precision)[FEATURES[0]]
        mean = evaluate(features, setting).mean
        done += 1
        if progress:
            progress(done, total)
        return {"rank1": mean["rank1"], "map": mean["map"]}

    clean = score(store)
    return {kind: [clean, *(score(CorruptedStore(store, kind, s)) for s in STRENGTHS)] for kind in CORRUPTIONS}


def corruption_error(ours: Scores, baseline: Scores) -> float:
    """Mean over corruptions of the summed mAP error, relative to another run's (Hendrycks and Dietterich, ICLR 2019,
    with 1 - mAP for the error); below 1 is more robust."""
    return float(np.mean([_error(ours[kind]) / _error(baseline[kind]) for kind in ours]))


def write_noise(folders: Sequence[Path], data: Path | None, out: Path,
                progress: Callable[[int, int], None] | None = None) -> Path:  # fmt: skip
    """Score runs, the first being the baseline of the others' error, and write ``noise.csv``, ``.pdf`` and ``.png``.

    Raises:
        VireidError: no run, runs of one name, or as `corruption_scores`.
    """
    names = [folder.resolve().name for folder in folders]
    if not folders or len(set(names)) != len(names):
        raise VireidError("noise: expected one or more run folders of different names")
    scores = {name: corruption_scores(folder, data, progress) for name, folder in zip(names, folders, strict=True)}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["run", "corruption", "strength", "r1", "map", f"error_relative_to_{names[0]}"])
    for name, found in scores.items():
        error = f"{corruption_error(found, scores[names[0]]):.4f}"
        for kind, levels in found.items():
            for strength, numbers in enumerate(levels):
                writer.writerow([name, kind, strength, *(f"{100 * v:.2f}" for v in numbers.values()), error])
    with atomic_path(out / "noise.csv") as path:
        path.write_text(buffer.getvalue(), encoding="utf-8")
    figure = _figure(scores)
    for suffix in (".pdf", ".png"):
        write_figure(out / f"noise{suffix}", figure)
    return out


def _figure(scores: dict[str, Scores]) -> Figure:
    def series(key: str) -> list[Series]:
        found = []
        for name, kinds in scores.items():
            curves = 100 * np.array([[level[key] for level in levels] for levels in kinds.values()])
            found.append(Series(f"{name}, mean over {len(kinds)} corruptions (bars: their deviation)",
                                curves.mean(0), curves.std(0), measured=True))  # fmt: skip
        return found

    panels = {"R1 (%)": series("rank1"), "mAP (%)": series("map")}
    return points_figure(panels, ["clean", *map(str, STRENGTHS)], "strength")


def _error(levels: Sequence[dict[str, float]]) -> float:
    return max(sum(1 - level["map"] for level in levels[1:]), 1e-9)
