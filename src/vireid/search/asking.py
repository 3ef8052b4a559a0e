"""A search from image files to an answer, with the model that the gallery remembers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vireid.deploy.embedder import Embedder
from vireid.search.images import prepare
from vireid.search.present import Answer
from vireid.search.querying import search_groups
from vireid.search.records import Gallery, Where
from vireid.search.sources import find_files, read_file
from vireid.search.store import model_folder
from vireid.search.thresholds import score_thresholds
from vireid.types import Modality, VireidError


def model_of(place: str, given: Path | None) -> tuple[Embedder, Path]:
    """Load the model ``given``, or else the one that the gallery at ``place`` was made with.

    Raises:
        VireidError: no gallery, or its model is not where it was.
    """
    folder = given or model_folder(place)
    if folder is None or not folder.exists():
        raise VireidError(f"{place}: its model is not at {folder or 'any known place'}; say --model FOLDER")
    from vireid.deploy.load import load_embedder

    return load_embedder(folder), folder


def ask(
    gallery: Gallery,
    embedder: Embedder,
    folder: Path,
    images: Sequence[str],
    modality: Modality,
    *,
    top: int,
    where: Where,
    rerank: bool,
    tracks: bool,
) -> tuple[Answer, list[bytes]]:
    """Search for the person that the image files show; return the answer and the queries' thumbnails.

    Args:
        folder: the model's, where the thresholds of its evaluation are.
        tracks: count and show tracks, not images.

    Raises:
        VireidError: an image that cannot be read, or what the gallery raises.
    """
    files = [file for text in images for file in find_files(text)]
    if not files:
        raise VireidError("search: expected at least one image of the person")
    ready = [prepare(read_file(file), str(file), embedder) for file in files]
    query = embedder.embed(np.stack([pixels for pixels, _, _ in ready]), modality)
    groups = search_groups(gallery, query, top, where, rerank, tracks)
    thresholds = score_thresholds(folder, modality)
    answer = Answer(tuple(file.name for file in files), groups, gallery.info().images, rerank, thresholds)
    return answer, [thumbnail for _, thumbnail, _ in ready]
