"""Run a model over a pixel store: images to features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vireid.data.augment import normalise
from vireid.data.pixels import PixelStore
from vireid.models.network import TwoStreamNetwork, embedding
from vireid.parallel import Progress
from vireid.training.device import autocast
from vireid.types import FeatureKind, Features, Modality, Sample

BATCH = 64
"""Images that go through a model at once, however many are given; bounds the memory."""

Forward = Callable[[Tensor, Modality], dict[FeatureKind, Tensor]]
"""Images (b, 3, h, w) uint8 of one modality on the CPU to features (b, d) by kind."""


def embed_store(
    forward: Forward, store: PixelStore, samples: Sequence[Sample], progress: Progress | None = None
) -> dict[FeatureKind, Features]:
    """Embed the samples of a store (row i of the store is sample i), modality by modality, `BATCH` images at a time.

    Args:
        progress: called with (images embedded, images).

    Returns:
        By kind, float32 features (n, d) on the CPU in the samples' order.
    """
    modalities = np.array([s.modality for s in samples], dtype=np.int64)
    rows: dict[FeatureKind, Tensor] = {}
    done = 0
    for modality in Modality:
        of_modality = np.flatnonzero(modalities == modality)
        for start in range(0, len(of_modality), BATCH):
            index = of_modality[start : start + BATCH]
            for kind, feature in forward(store.batch(index), modality).items():
                rows.setdefault(kind, torch.empty(len(samples), feature.shape[1]))[index] = feature.cpu()
            done += len(index)
            if progress:
                progress(done, len(samples))
    labels = (
        torch.tensor([s.identity for s in samples]),
        torch.tensor([s.camera for s in samples]),
        torch.from_numpy(modalities),
    )
    return {kind: Features(values, *labels) for kind, values in rows.items()}


def network_features(
    network: TwoStreamNetwork,
    store: PixelStore,
    samples: Sequence[Sample],
    *,
    flip: bool = False,
    precision: str = "fp32",
) -> dict[FeatureKind, Features]:
    """`embed_store` with a network, which may be in training; ``flip`` and features as in `embed_batch`."""
    device = next(network.parameters()).device
    training = network.training
    network.eval()

    def forward(images: Tensor, modality: Modality) -> dict[FeatureKind, Tensor]:
        return embed_batch(network, images.to(device), modality, flip=flip, precision=precision)[0]

    found = embed_store(forward, store, samples)
    network.train(training)
    return found


@torch.no_grad()
def embed_batch(
    network: TwoStreamNetwork, images: Tensor, modality: Modality, *, flip: bool = False, precision: str = "fp32"
) -> tuple[dict[FeatureKind, Tensor], tuple[Tensor, ...]]:
    """Embed images (b, 3, h, w) uint8 of one modality with a network in evaluation mode, on its device.

    Args:
        flip: average the feature with that of the mirrored image before the final normalisation.

    Returns:
        L2-normalised features (b, d), after and before the BNNeck, and the branches' last maps (b, c, h', w') of the
        images without flipping.
    """
    total: dict[FeatureKind, Tensor] = {}
    maps: tuple[Tensor, ...] = ()
    normal = normalise(images)
    for view in (normal, normal.flip(3)) if flip else (normal,):
        view = view.contiguous(memory_format=torch.channels_last)
        sides = (view, None) if modality is Modality.VISIBLE else (None, view)
        with autocast(images.device, precision):
            output = network(*sides)
        maps = maps or output.maps
        for kind, parts in (
            (FeatureKind.AFTER_BNNECK, output.normed),
            (FeatureKind.BEFORE_BNNECK, output.pooled),
        ):
            total[kind] = total.get(kind, 0) + embedding(parts)
    return {kind: normalize(feature) for kind, feature in total.items()}, maps
