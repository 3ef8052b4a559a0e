"""A synthetic set without files: its images are rendered on first use and stay in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vireid.config import DataConfig
from vireid.data.pixels import PixelStore
from vireid.difficulty import Difficulty
from vireid.layouts import find_layout
from vireid.synthetic.plans import order_of, plan
from vireid.synthetic.settings import SyntheticSet, from_record, synthetic_set
from vireid.synthetic.workers import BATCH, DEVICE_BATCH, pictures
from vireid.types import Dataset, Sample

ROOT = Path("synthetic")  # of the samples' paths, which name no file


def live_settings(config: DataConfig) -> SyntheticSet:
    """Return the settings of the set that a recipe's data section describes, at the size of the network's input."""
    wanted = config.synthetic
    find_layout(wanted.like, "data.synthetic.like")
    return synthetic_set(
        wanted.like,
        wanted.identities,
        seed=wanted.seed,
        difficulty=Difficulty.of(wanted.difficulty, asdict(wanted.dial)),
        images=wanted.images,
        height=config.height,
        width=config.width,
    )


def live_dataset(settings: SyntheticSet, trial: int = 1) -> Dataset:
    """Return the records that a loader finds in the tree of these settings; ``rendered`` marks them as without files.

    ``trial`` picks the split if the layout has several.
    """
    layout, work = find_layout(settings.like), plan(settings)
    number = trial if layout.splits else None
    first = 0 if layout.lists else 1  # folder names are numbered from 0
    samples = [Sample(ROOT / s.path, s.identity - first, s.camera, s.spectrum.modality) for s in work.shots]
    samples.sort(key=lambda sample: (sample.identity, sample.camera, str(sample.path)))
    everybody = {sample.identity for sample in samples}
    # without lists, training splits the identities
    test, train = map(set, order_of(settings).split(number)) if layout.lists else (everybody, everybody)
    draws = {key: places for key, places in work.draws.items() if key[1] in test and places.size}
    training, testing = (tuple(sample for sample in samples if sample.identity in part) for part in (train, test))
    queries = _queries(testing, {ROOT / shot.path for shot in work.shots if shot.query})
    names = dict(zip(everybody, map("{:04d}".format, everybody), strict=True)) if queries else None
    return Dataset(
        settings.like, ROOT, training, testing, number, draws, settings.record(), queries=queries, names=names
    )


def _queries(samples: Sequence[Sample], asked: set[Path]) -> tuple[int, ...] | None:
    """Rows of the samples with these paths; None if there are none."""
    return tuple(row for row, sample in enumerate(samples) if sample.path in asked) if asked else None


class RenderedStore(PixelStore):
    """The images of a `live_dataset` as a `PixelStore`: row i is sample i, rendered on first use."""

    def __init__(self, dataset: Dataset, samples: Sequence[Sample]) -> None:
        """``samples`` are some of ``dataset``; they take n * height * width * 3 bytes of memory."""
        self._settings = from_record(dataset.rendered or {})
        super().__init__(np.empty((len(samples), self._settings.height, self._settings.width, 3), dtype=np.uint8))
        shots = {ROOT / shot.path: shot for shot in plan(self._settings).shots}
        self._shots = [shots[sample.path] for sample in samples]
        self._made = np.zeros(len(samples), dtype=np.bool_)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def batch(self, rows: npt.NDArray[np.int64] | Tensor) -> Tensor:
        """Images of the given rows, (b, 3, height, width) uint8 on the CPU, in channels-last memory."""
        asked = np.unique(np.asarray(rows))
        missing = asked[~self._made[asked]].tolist()
        step = BATCH if self._device.type == "cpu" else DEVICE_BATCH
        for start in range(0, len(missing), step):
            part = missing[start : start + step]
            places = {self._shots[row]: row for row in part}
            for picture in pictures(self._settings, list(places), self._device):
                self._pixels[places[picture.shot]] = picture.pixels
            self._made[part] = True
        return super().batch(rows)
