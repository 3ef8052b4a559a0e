"""What search needs of a model, whatever runs it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from vireid.data.images import Pixels
from vireid.types import Modality

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Images of one modality to features.

    ``name`` is the model's for people; ``fingerprint`` (64 hexadecimal digits) is equal for two embedders whose
    features may be compared: those of one run's weights and preprocessing, in whatever format; ``dimension`` is the
    features' length; ``height`` and ``width`` are the network input's in pixels.
    """

    name: str
    fingerprint: str
    dimension: int
    height: int
    width: int

    def embed(self, images: Pixels, modality: Modality) -> Vectors:
        """Map uint8 RGB images (n, height, width, 3) to L2-normalised features (n, dimension), after the BNNeck."""
        ...

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        """Return where the network responds, eq. 1 of its last maps: (n, h, w) in [0, 1], for `overlay`."""
        ...
