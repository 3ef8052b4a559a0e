"""Features of a data set or of loose images, also as a .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vireid.data.layouts import open_pixels
from vireid.data.pixels import PixelStore
from vireid.deploy.embedder import Embedder, embed_samples, unseen_by
from vireid.deploy.load import ModelLike, load_model
from vireid.evaluation.protocols import settings_for
from vireid.files import atomic_path
from vireid.layouts.listing import image_files, subfolders
from vireid.parallel import Progress
from vireid.runs.evaluation import open_test
from vireid.types import Dataset, Features, Modality, Sample, VireidError


def embed(
    model: ModelLike,
    source: Dataset | Path | str,
    *,
    modality: Modality | None = None,
    flip: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Features:
    """Embed the test part of a data set, or loose images.

    Args:
        model: whatever `vireid.load_model` takes.
        source: a data set or its root; or with ``modality`` an image or a folder of images of that modality.
        flip: average the feature with that of the mirrored image.
        cache: folder of the pixel cache, see `PixelStore`.
        progress: called with (images decoded or embedded, images).

    Returns:
        the features for retrieval (n, d), float32 and of length 1, in the order of ``test`` without the identities that
        the model was trained on; or in the order of the images' names, where identities and cameras are -1.

    Raises:
        VireidError: not a model, no images, unreadable images, or features that are not finite.

    Examples:
        >>> import vireid
        >>> data = vireid.render("sysu", 24, images=1, height=64, width=32)
        >>> features = vireid.embed("runs/tiny", data)  # of the example of `vireid.train`
        >>> features.embeddings.shape, features.identities.unique().numel()
        (torch.Size([30, 128]), 5)
    """
    return _embedded(load_model(model), source, modality, flip, cache, progress)[0]


def write_features(
    model: ModelLike,
    source: Dataset | Path | str,
    out: Path,
    *,
    modality: Modality | None = None,
    flip: bool = False,
    progress: Progress | None = None,
) -> int:
    """`embed`, written to ``out``; return the number of images.

    The file holds ``embeddings`` (n, d) float32, the features for retrieval, L2-normalised, ``paths`` (n,) and
    ``modalities`` (n,), 0 visible and 1 infrared. Of a data set it holds the test part, with ``identities`` and
    ``cameras`` (n,), and the first trial of its first setting as the arrays that ``vireid score`` reads.

    Raises:
        VireidError: what `embed` raises, or a file that cannot be written.
    """
    if out.suffix != ".npz":
        raise VireidError(f"{out}: expected a file name that ends in .npz")
    features, samples, dataset = _embedded(load_model(model), source, modality, flip, None, progress)
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


def _embedded(
    model: Embedder,
    source: Dataset | Path | str,
    modality: Modality | None,
    flip: bool,
    cache: Path | None,
    progress: Progress | None,
) -> tuple[Features, tuple[Sample, ...], Dataset | None]:
    """Return the features, what they are of, and the data set that this is the test part of."""
    dataset = None
    if modality is None or isinstance(source, Dataset):
        dataset = unseen_by(model, open_test(model, source))
        samples = dataset.test
        store = open_pixels(dataset, samples, model, cache, progress)
    else:
        samples = _loose(Path(source), modality)
        size = model.height, model.width
        store = PixelStore.build(samples, *size, cache, progress=progress, resampling=model.resampling)
    return embed_samples(model, store, samples, flip=flip, progress=progress)[model.kinds[0]], samples, dataset


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
