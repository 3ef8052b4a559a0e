"""Images to features: a trained network over a pixel store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vireid.data.augment import normalise
from vireid.data.pixels import PixelStore
from vireid.models.network import TwoStreamNetwork, embedding
from vireid.training.device import autocast
from vireid.types import Features, Modality, Sample

FEATURES = ("after BNNeck", "before BNNeck")
"""Kinds of feature `embed` returns: the paper's retrieval feature first."""


@torch.no_grad()
def embed(
    network: TwoStreamNetwork,
    store: PixelStore,
    samples: Sequence[Sample],
    *,
    flip: bool = False,
    precision: str = "fp32",
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Features]:
    """Embed the samples of a store (row i of the store is sample i).

    Args:
        flip: average the feature with that of the mirrored image before the final normalisation.

    Returns:
        By kind (see `FEATURES`), float32 L2-normalised features (n, d) on the CPU in the samples' order.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    modalities = np.array([s.modality for s in samples], dtype=np.int64)
    rows: dict[str, Tensor] = {}
    done = 0
    for modality in Modality:
        of_modality = np.flatnonzero(modalities == modality)
        for start in range(0, len(of_modality), batch):
            index = of_modality[start : start + batch]
            images = store.batch(index).to(device)
            for kind, feature in embed_batch(network, images, modality, flip=flip, precision=precision)[0].items():
                rows.setdefault(kind, torch.empty(len(samples), feature.shape[1]))[index] = feature.cpu()
            done += len(index)
            if progress:
                progress(done, len(samples))
    network.train(training)
    labels = (
        torch.tensor([s.identity for s in samples]),
        torch.tensor([s.camera for s in samples]),
        torch.from_numpy(modalities),
    )
    return {kind: Features(values, *labels) for kind, values in rows.items()}


@torch.no_grad()
def embed_batch(
    network: TwoStreamNetwork, images: Tensor, modality: Modality, *, flip: bool = False, precision: str = "fp32"
) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """Embed images (b, 3, h, w) uint8 of one modality with a network in evaluation mode, on its device.

    Returns:
        The features (b, d) by kind, as `embed` gives them, and the branches' last maps (b, c, h', w') of the images as
        they are.
    """
    total: dict[str, Tensor] = {}
    maps: tuple[Tensor, ...] = ()
    normal = normalise(images)
    for view in (normal, normal.flip(3)) if flip else (normal,):
        view = view.contiguous(memory_format=torch.channels_last)
        sides = (view, None) if modality is Modality.VISIBLE else (None, view)
        with autocast(images.device, precision):
            output = network(*sides)
        maps = maps or output.maps
        for kind, parts in zip(FEATURES, (output.normed, output.pooled), strict=True):
            total[kind] = total.get(kind, 0) + embedding(parts)
    return {kind: normalize(feature) for kind, feature in total.items()}, maps
