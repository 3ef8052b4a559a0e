"""Silhouettes of the people in rendered images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from vireid.data.layouts import record_of
from vireid.synthetic.plans import plan
from vireid.synthetic.settings import from_record
from vireid.synthetic.workers import BATCH, mask_path, pictures
from vireid.types import Dataset, Sample

Masks = npt.NDArray[np.bool_]


def body_masks(dataset: Dataset, samples: Sequence[Sample]) -> Masks | None:
    """Return (n, h, w) silhouettes of some of a rendered set's images, None for photographs.

    They are read if the set was written with them, otherwise rendered again, identical to the pixel.

    Raises:
        VireidError: a record of a rendered set that cannot be used.
    """
    record = record_of(dataset)
    if record is None:
        return None
    names = [sample.path.relative_to(dataset.root).as_posix() for sample in samples]
    files = [dataset.root / mask_path(name) for name in names]
    if all(file.is_file() for file in files):
        return np.stack([np.asarray(Image.open(file).convert("L")) > 127 for file in files])
    made = from_record(record)
    shots = {shot.path: shot for shot in plan(made).shots}
    found: dict[str, Masks] = {}
    for start in range(0, len(names), BATCH):
        batch = [shots[name] for name in names[start : start + BATCH]]
        found |= {picture.shot.path: picture.mask for picture in pictures(made, batch, torch.device("cpu"))}
    return np.stack([found[name] for name in names])
