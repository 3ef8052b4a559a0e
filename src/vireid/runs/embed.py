"""Features of a data set or of loose images as a .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vireid.data.layouts import open_dataset
from vireid.data.pixels import PixelStore
from vireid.deploy.embedder import embed_samples, unseen_by
from vireid.deploy.load import Source, load_model
from vireid.evaluation.protocols import settings_for
from vireid.files import atomic_path
from vireid.layouts.listing import image_files, subfolders
from vireid.parallel import Progress
from vireid.types import Dataset, Features, Modality, Sample, VireidError


def write_features(
    model: Source,
    source: Path,
    out: Path,
    *,
    modality: Modality | None = None,
    flip: bool = False,
    progress: Progress | None = None,
) -> int:
    """Embed with a model and write ``out``; return the number of images.

    The file holds ``embeddings`` (n, d) float32, the features for retrieval, L2-normalised, ``paths`` (n,) and
    ``modalities`` (n,), 0 visible and 1 infrared. Of a data set it holds the test part, with ``identities`` and
    ``cameras`` (n,), and the first trial of its first setting as the arrays that ``vireid score`` reads.

    Args:
        model: whatever `load_model` takes.
        source: a data set, or with ``modality`` an image or a folder of images of that modality.

    Raises:
        VireidError: not a model, no images, unreadable images, a file that cannot be written.
    """
    if out.suffix != ".npz":
        raise VireidError(f"{out}: expected a file name that ends in .npz")
    embedder = load_model(model)
    dataset = None
    if modality is None:
        dataset = unseen_by(embedder, open_dataset(source, embedder.info.get("trial") or 1))
        samples = dataset.test
    else:
        samples = _loose(source, modality)
    store = PixelStore.build(samples, embedder.height, embedder.width, progress=progress)
    features = embed_samples(embedder, store, samples, flip=flip, progress=progress)[embedder.kinds[0]]
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
