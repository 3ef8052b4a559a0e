"""Features of a data set or of loose images as a .npz file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from vireid.data.layouts import open_dataset
from vireid.data.pixels import PixelStore
from vireid.deploy.embedder import BATCH, Embedder
from vireid.deploy.load import load_embedder, trained_on
from vireid.evaluation.protocols import settings_for
from vireid.files import atomic_path
from vireid.layouts.listing import image_files, subfolders
from vireid.training.split import unseen
from vireid.types import Dataset, Features, Modality, Sample, VireidError


def write_features(
    folder: Path,
    source: Path,
    out: Path,
    *,
    modality: Modality | None = None,
    flip: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Embed with the run or export in ``folder`` and write ``out``; return the number of images.

    The file holds ``embeddings`` (n, d) float32 after the BNNeck, L2-normalised, ``paths`` (n,) and ``modalities``
    (n,), 0 visible and 1 infrared. Of a data set it holds the test part, with ``identities`` and ``cameras`` (n,), and
    the first trial of its first setting as the arrays that ``vireid score`` reads.

    Args:
        source: a data set, or with ``modality`` an image or a folder of images of that modality.

    Raises:
        VireidError: not a run or an export, no images, unreadable images, a file that cannot be written.
    """
    if out.suffix != ".npz":
        raise VireidError(f"{out}: expected a file name that ends in .npz")
    model = load_embedder(folder)
    dataset = None
    if modality is None:
        info = trained_on(folder)
        dataset = unseen(open_dataset(source, info["trial"] or 1), info)
        samples = dataset.test
    else:
        samples = _loose(source, modality)
    store = PixelStore.build(samples, model.height, model.width, progress=progress, resampling=model.resampling)
    features = embed_samples(model, store, samples, flip=flip, progress=progress)
    arrays: dict[str, Any] = {
        "embeddings": features.embeddings.numpy(),
        "paths": np.array([str(s.path) for s in samples]),
        "modalities": features.modalities.numpy(),
    }
    if dataset:
        arrays |= _labelled(features, dataset)
    with atomic_path(out) as path:
        np.savez(path, **arrays)
    return len(samples)


def embed_samples(
    model: Embedder,
    store: PixelStore,
    samples: Sequence[Sample],
    *,
    flip: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """`vireid.training.features.embed` for whatever runs the model: float32 features (n, d) in the samples' order."""
    modalities = np.array([s.modality for s in samples], dtype=np.int64)
    rows = np.empty((len(samples), model.dimension), np.float32)
    done = 0
    for modality in Modality:
        of_modality = np.flatnonzero(modalities == modality)
        for index in np.array_split(of_modality, -(-len(of_modality) // BATCH) or 1):
            images = store.batch(index).permute(0, 2, 3, 1).numpy()
            rows[index] = model.embed(images, modality)
            if flip:
                rows[index] += model.embed(np.ascontiguousarray(images[:, :, ::-1]), modality)
            done += len(index)
            if progress:
                progress(done, len(samples))
    labels = (
        torch.tensor([s.identity for s in samples]),
        torch.tensor([s.camera for s in samples]),
        torch.from_numpy(modalities),
    )
    return Features(normalize(torch.from_numpy(rows)), *labels)


def _loose(source: Path, modality: Modality) -> tuple[Sample, ...]:
    if source.is_file():
        paths = [source]
    else:
        folders = [source]
        for folder in folders:  # grows while it is walked
            folders += subfolders(folder)
        paths = [path for folder in folders for path in image_files(folder)]
    if not paths:
        raise VireidError(f"{source}: no image; expected an image file or a folder of images")
    return tuple(Sample(path, -1, -1, modality) for path in paths)


def _labelled(features: Features, dataset: Dataset) -> dict[str, Any]:
    trial = settings_for(dataset)[0].trials[0]
    arrays: dict[str, Any] = {"identities": features.identities.numpy(), "cameras": features.cameras.numpy()}
    for side, rows in (("query", trial.query), ("gallery", trial.gallery)):
        part = features[rows]
        arrays[f"{side}_features"] = part.embeddings.numpy()
        arrays[f"{side}_ids"], arrays[f"{side}_cameras"] = part.identities.numpy(), part.cameras.numpy()
    return arrays
