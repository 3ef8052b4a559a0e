"""A run's network as an `Embedder`, and the fingerprint that it shares with its exports."""

from __future__ import annotations

import hashlib
import json
import operator
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from vireid.deploy.embedder import BATCH, Vectors, check_images
from vireid.figures.heatmaps import min_max
from vireid.images import Pixels
from vireid.models.network import embedding_length
from vireid.models.weakening import channel_response
from vireid.training.checkpoint import Run, portable
from vireid.training.features import FEATURES, embed_batch
from vireid.types import Modality

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
    if recipe["data"]["resize"] != "bilinear":
        shape["resize"] = recipe["data"]["resize"]
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


class RunEmbedder:
    """A run's network in PyTorch, in the precision in which `vireid evaluate` runs it.

    Args:
        run: on the device to be used.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.name = run.folder.resolve().name
        self.fingerprint = model_fingerprint(run)
        self.dimension = dimension_of(run)
        self.height, self.width = run.recipe.data.height, run.recipe.data.width
        self.resampling: str = run.recipe.data.resize

    def embed(self, images: Pixels, modality: Modality) -> Vectors:
        """See `Embedder.embed`."""
        return self._forward(images, modality)[0]

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        """See `Embedder.response`."""
        return self._forward(images, modality)[1]

    def _forward(self, images: Pixels, modality: Modality) -> tuple[Vectors, Vectors]:
        check_images(images, self.height, self.width)
        network, precision = self._run.network, self._run.precision
        device = next(network.parameters()).device
        if not len(images):
            feature, response = self._forward(np.zeros((1, self.height, self.width, 3), np.uint8), modality)
            return feature[:0], response[:0]
        features, responses = [], []
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH])).permute(0, 3, 1, 2)
            found, maps = embed_batch(network, batch.to(device), modality, precision=precision)
            features.append(found[FEATURES[0]].cpu())
            responses.append(branch_response(maps).cpu())
        return torch.cat(features).numpy(), torch.cat(responses).numpy()
