"""Heat maps of where a network responds: eq. 1 of the paper, overlaid on the image (Fig. 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vireid.figures.images import Image, check_image
from vireid.figures.style import missing_extra
from vireid.models.weakening import channel_response
from vireid.types import VireidError

COLOUR_MAP = "inferno"
"""Perceptually uniform and ordered by lightness, so it also works in grey and for any colour vision."""

_STRENGTH = 0.6
_GREY = np.array([0.299, 0.587, 0.114])  # luma weights of ITU-R BT.601


@dataclass(frozen=True)
class HeatmapRow:
    """One image and the network's response to it: ``overlays`` maps the name of a stage to a picture.

    All pictures are uint8, (height, width, 3); the stages come in network order.
    """

    title: str
    image: Image
    overlays: dict[str, Image]

    def __post_init__(self) -> None:
        check_image(self.image, f"heat maps of {self.title!r}, image")
        for name, picture in self.overlays.items():
            check_image(picture, f"heat maps of {self.title!r}, {name}")


def response_map(feature_map: Tensor) -> Tensor:
    """Return eq. 1, the mean plus the maximum over channels, min-max scaled per image.

    ``feature_map`` has shape (n, C, h, w); the result is (n, h, w), float32 in [0, 1], on the same device and
    without gradient. An image with the same response everywhere gives zeros.

    Raises:
        VireidError: another number of dimensions, no channel or position, or values that are not finite.
    """
    if feature_map.ndim != 4 or 0 in feature_map.shape[1:]:
        raise VireidError(f"feature map: expected shape (n, channels, h, w), got {tuple(feature_map.shape)}")
    response = channel_response(feature_map.detach())
    if not bool(torch.isfinite(response).all()):
        raise VireidError("feature map: expected finite values, got NaN or infinity; the network has diverged")
    return min_max(response)


def min_max(response: Tensor) -> Tensor:
    """Scale (n, h, w) to [0, 1] per image; an image with equal values everywhere gives zeros."""
    lowest = response.amin(dim=(1, 2), keepdim=True)
    spread = response.amax(dim=(1, 2), keepdim=True) - lowest
    return torch.where(spread > 0, (response - lowest) / spread, torch.zeros_like(response))


def overlay(images: npt.NDArray[np.uint8], maps: Tensor) -> npt.NDArray[np.uint8]:
    """Overlay response maps on images: colour shows the strength, the grey picture below it the place.

    ``images`` is uint8 (n, H, W, 3), ``maps`` (n, h, w) in [0, 1]; the maps are scaled up bilinearly. The
    image becomes grey, because its colours would look like responses. Returns uint8 (n, H, W, 3).

    Raises:
        VireidError: shapes that do not match, or matplotlib (for the colour table) is not installed.
    """
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise VireidError(f"images: expected uint8 of shape (n, H, W, 3), got {images.dtype} {images.shape}")
    if maps.ndim != 3 or len(maps) != len(images):
        raise VireidError(f"maps: expected shape ({len(images)}, h, w), one per image, got {tuple(maps.shape)}")
    full = interpolate(maps.detach().float().cpu()[:, None], images.shape[1:3], mode="bilinear", align_corners=False)
    level = (full[:, 0].clamp(0, 1) * 255).round().to(torch.int64).numpy()
    heat = colour_table()[level].astype(np.float64)
    grey = (images @ _GREY)[..., None]
    blend: npt.NDArray[np.float64] = np.rint((1 - _STRENGTH) * grey + _STRENGTH * heat)
    return blend.astype(np.uint8)


def colour_table() -> npt.NDArray[np.uint8]:
    """Return the 256 RGB colours of the heat maps from no response to the strongest, uint8 (256, 3)."""
    try:
        from matplotlib import colormaps
    except ImportError as error:
        raise missing_extra("matplotlib") from error
    colours = colormaps[COLOUR_MAP](np.arange(256), bytes=True)
    table: npt.NDArray[np.uint8] = colours[:, :3]
    return table
