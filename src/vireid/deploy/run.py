"""A run's network as an `Embedder`, and the fingerprint that it shares with its exports."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterator
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from vireid.deploy.embedder import Embedder, Vectors, check_images
from vireid.figures.heatmaps import min_max
from vireid.images import Pixels
from vireid.models.network import embedding_length
from vireid.models.weakening import channel_response
from vireid.training.checkpoint import Run, portable
from vireid.training.device import describe
from vireid.training.features import BATCH, embed_batch
from vireid.types import FeatureKind, Modality

_ADDED = {"options": {}, "padding": "zeros", "weakening.detach": False}
"""Fields of the model that version 0.1 did not have, and what it did: then they are left out of fingerprints."""


def model_fingerprint(run: Run) -> str:
    """SHA-256 over the run's tensors and over what of its recipe decides a feature: the input's size and the model."""
    recipe = run.recipe.to_dict()
    model = recipe["model"]
    del model["weights"]  # where training began
    for field, value in _ADDED.items():
        *groups, leaf = field.split(".")
        group = reduce(operator.getitem, groups, model)
        if group[leaf] == value:
            del group[leaf]
    shape = {"height": recipe["data"]["height"], "width": recipe["data"]["width"], "model": model}
    if recipe["data"]["resampling"] != "bilinear":
        shape["resampling"] = recipe["data"]["resampling"]
    state = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
    for name, value in sorted(portable(run.network.state_dict()).items()):
        state.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        state.update(value.numpy().data)
    return state.hexdigest()


def dimension_of(run: Run) -> int:
    """Length of the run's features: those of all branches together."""
    return embedding_length(run.network)


def branch_response(maps: tuple[Tensor, ...]) -> Tensor:
    """Eq. 1 of every branch's map (b, c, h, w), their mean, scaled per image: (b, h, w) float32 in [0, 1]."""
    return min_max(torch.stack([channel_response(m) for m in maps]).mean(0))


class RunEmbedder(Embedder):
    """A run's network in PyTorch, in the precision of its recipe.

    Args:
        run: on the device to be used.
    """

    kinds = (FeatureKind.AFTER_BNNECK, FeatureKind.BEFORE_BNNECK)

    def __init__(self, run: Run) -> None:
        self.run = run
        self.name, self.home, self.info = run.folder.resolve().name, run.folder, run.info
        self.source, self.fingerprint = str(run.folder.resolve()), model_fingerprint(run)
        self.dimension = dimension_of(run)
        self.height, self.width = run.recipe.data.height, run.recipe.data.width
        self.resampling: str = run.recipe.data.resampling
        self._device = next(run.network.parameters()).device
        self.precision, self.device = run.precision, describe(self._device)

    def features(self, images: Pixels, modality: Modality, *, flip: bool = False) -> dict[FeatureKind, Vectors]:
        """See `Embedder.features`."""
        parts = [
            embed_batch(self.run.network, batch, modality, flip=flip, precision=self.precision)[0]
            for batch in self._batches(images)
        ]
        return {kind: torch.cat([part[kind].cpu() for part in parts]).numpy() for kind in self.kinds}

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        """See `Embedder.response`."""
        parts = [
            branch_response(embed_batch(self.run.network, batch, modality, precision=self.precision)[1]).cpu()
            for batch in self._batches(images)
        ]
        return torch.cat(parts).numpy()

    def _batches(self, images: Pixels) -> Iterator[Tensor]:
        check_images(images, self.height, self.width)
        for start in range(0, max(1, len(images)), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH]))
            yield batch.permute(0, 3, 1, 2).to(self._device)
