"""What search needs of a model, whatever runs it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from vireid.images import Pixels
from vireid.types import Modality, VireidError

Vectors = npt.NDArray[np.float32]

BATCH = 32
"""Images that go through a network at once, whatever number is given: bounds its memory."""


class Embedder(Protocol):
    """Images of one modality to features.

    ``name`` is the model's for people; ``fingerprint`` (64 hexadecimal digits) is equal for two embedders whose
    features may be compared: those of one run's weights and preprocessing, in whatever format; ``dimension`` is the
    features' length; ``height`` and ``width`` are the network input's in pixels, to which `vireid.images.resize`
    brings an image with the filter ``resampling``.
    """

    name: str
    fingerprint: str
    dimension: int
    height: int
    width: int
    resampling: str

    def embed(self, images: Pixels, modality: Modality) -> Vectors:
        """Map uint8 RGB images (n, height, width, 3) to L2-normalised features (n, dimension), after the BNNeck."""
        ...

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        """Return where the network responds: (n, h, w) in [0, 1], for `overlay`.

        It is eq. 1 of every branch's last map, their mean, scaled per image (min-max).
        """
        ...


def check_images(images: Pixels, height: int, width: int) -> None:
    """Raise `VireidError` where ``images`` are not what an embedder of this input size takes."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3):
        raise VireidError(
            f"images: expected uint8 of shape (n, {height}, {width}, 3), got {images.dtype} {images.shape}; "
            "resize first"
        )
