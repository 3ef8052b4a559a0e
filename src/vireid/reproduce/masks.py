"""Where the body is in rendered images, and how much of a response lies on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vireid.data.layouts import record_of
from vireid.models.weakening import channel_response
from vireid.synthetic.plans import plan
from vireid.synthetic.settings import from_record
from vireid.synthetic.workers import BATCH, mask_path, pictures
from vireid.types import Dataset, Sample

Masks = npt.NDArray[np.bool_]


def body_masks(dataset: Dataset, samples: Sequence[Sample]) -> Masks | None:
    """Return (n, h, w) silhouettes of some of a rendered set's images, None for photographs.

    They are read where the set was written with them and rendered again, alike to the pixel, where it was not.
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


def body_share(features: Tensor, masks: Masks) -> npt.NDArray[np.float64]:
    """Return (n,) the share of the response (eq. 1) that lies on the body, in [0, 1]; NaN where there is no response.

    ``features`` (n, c, h, w), not negative; ``masks`` (n, H, W), averaged over the area of each of the h x w positions.
    """
    response = channel_response(features.detach()).cpu()
    body = adaptive_avg_pool2d(torch.from_numpy(masks).float()[:, None], (response.shape[1], response.shape[2]))[:, 0]
    share: npt.NDArray[np.float64] = ((response * body).sum((1, 2)) / response.sum((1, 2))).double().numpy()
    return share


def strong_share(features: Tensor) -> npt.NDArray[np.float64]:
    """Return (n,) the share of positions whose response (eq. 1) is at or above the image's mean, e of eq. 2."""
    response = channel_response(features.detach()).cpu()
    share: npt.NDArray[np.float64] = (response >= response.mean((1, 2), keepdim=True)).double().mean((1, 2)).numpy()
    return share
