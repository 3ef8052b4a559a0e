"""Models from elsewhere as `Embedder`: what they share, and a Python function."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vireid.deploy.embedder import Embedder, Vectors, averaged, check_images
from vireid.deploy.input_card import InputCard
from vireid.images import Pixels
from vireid.training.features import BATCH
from vireid.types import FeatureKind, Modality, VireidError

MAX_DIMENSION = 32768

Function = Callable[[Pixels, Modality], Any]
"""Images uint8 RGB (n, height, width, 3) of one modality to features (n, d), an array or a tensor."""


class ForeignEmbedder(Embedder):
    """A model from elsewhere: nothing is known of its training, and it does not show where it responds."""

    kinds = (FeatureKind.OUTPUT,)
    responds = False
    precision = "unknown"

    def __init__(self, card: InputCard, name: str, home: Path, source: str) -> None:
        self.name, self.home, self.source = card.name or name, home, source
        self.height, self.width = card.height, card.width

    def features(self, images: Pixels, modality: Modality, *, flip: bool = False) -> dict[FeatureKind, Vectors]:
        """See `Embedder.features`."""
        check_images(images, self.height, self.width)
        return {FeatureKind.OUTPUT: averaged(lambda some: self._embed(some, modality), images, flip)}

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        """See `Embedder.response`."""
        raise VireidError(f"{self.name}: cannot tell where it responds; a run or an export of one can")

    @abstractmethod
    def _run(self, images: Pixels, modality: Modality) -> Any:
        """Return features (n, d) of 1 to `BATCH` images, not yet checked."""

    def _probe(self) -> None:
        """Find the dimension, which both modalities have to share."""
        noise = np.random.default_rng(0).integers(0, 256, (2, self.height, self.width, 3), dtype=np.uint8)
        found = [self._checked(noise, modality, None).shape[1] for modality in Modality]
        if found[0] != found[1] or not 1 <= found[0] <= MAX_DIMENSION:
            raise VireidError(
                f"{self.name}: features of {found[0]} numbers for visible and {found[1]} for infrared images; expected "
                f"as many for both, 1 to {MAX_DIMENSION}"
            )
        self.dimension = found[0]

    def _embed(self, images: Pixels, modality: Modality) -> Vectors:
        starts = range(0, len(images), BATCH)
        parts = [self._checked(images[i : i + BATCH], modality, self.dimension).numpy() for i in starts]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    def _checked(self, images: Pixels, modality: Modality, dimension: int | None) -> Tensor:
        """Return L2-normalised features of whatever comes back."""
        try:
            rows = torch.as_tensor(self._run(images, modality)).detach().cpu().float()
        except VireidError:
            raise
        except Exception as error:  # of outside code
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            raise VireidError(f"{self.name}: fails on {len(images)} {modality} images ({reason})") from error
        if rows.ndim > 2 and rows.shape[2:].numel() == 1:  # (n, d, 1, 1), as global pooling leaves it
            rows = rows.flatten(1)
        if rows.ndim != 2 or len(rows) != len(images) or rows.shape[1] != (dimension or rows.shape[1]):
            raise VireidError(
                f"{self.name}: features of shape {tuple(rows.shape)} for {len(images)} {modality} images; expected "
                f"({len(images)}, {dimension or 'd'})"
            )
        if not bool(rows.isfinite().all()):
            raise VireidError(f"{self.name}: features that are not finite; look at what becomes of the pixels")
        return normalize(rows)


class FunctionEmbedder(ForeignEmbedder):
    """A Python function with a card; it handles the device and normalisation itself.

    Args:
        function: see `Function`; it gets 1 to `BATCH` images at a time, of the card's size.
        source: the text by which `load_model` finds the function again.

    Raises:
        VireidError: the function fails, or returns something else than features.
    """

    device = "Python"

    def __init__(self, function: Function, card: InputCard, source: str = "") -> None:
        kind = function if hasattr(function, "__qualname__") else type(function)
        place = f"{kind.__module__}.{kind.__qualname__}"
        name = card.name or source.rpartition(":")[2] or kind.__qualname__
        super().__init__(card, name, Path("runs") / name, source)
        self._function = function
        self.fingerprint = fingerprint_of(card, place.encode())
        self._probe()

    def _run(self, images: Pixels, modality: Modality) -> Any:
        return self._function(images, modality)


def fingerprint_of(card: InputCard, *contents: bytes) -> str:
    """SHA-256 over a card, without what the model is called, and over what else decides a feature."""
    fields = {name: value for name, value in asdict(card).items() if name != "name"}
    state = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    for content in contents:
        state.update(hashlib.sha256(content).digest())
    return state.hexdigest()
