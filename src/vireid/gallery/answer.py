"""Searches, from image files to an answer, with the model that the gallery remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.deploy.embedder import Embedder
from vireid.gallery.pictures import find_files, prepare, read_file
from vireid.gallery.query import search_groups
from vireid.gallery.records import Gallery, Match, Where
from vireid.gallery.store import model_folder
from vireid.gallery.thresholds import score_thresholds
from vireid.types import Modality, VireidError


@dataclass(frozen=True)
class Answer:
    """A search and its result: ``groups`` of matches, best first; each is one match unless grouped by track."""

    queries: tuple[str, ...]
    groups: list[list[Match]]
    images: int
    reranked: bool
    thresholds: dict[str, float]

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader has to know besides the list, as sentences."""
        order = "re-ranked by k-reciprocal neighbours; scores are cosines" if self.reranked else "by cosine similarity"
        notes = [f"{self.images:,} images searched, {order}."]
        if self.thresholds:
            rates = "; ".join(f"{rate}: {score:.3f}" for rate, score in self.thresholds.items())
            notes.append(f"Score reached by this share of comparisons of different people in the evaluation: {rates}.")
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; the best match of a group holds the rest of its track as ``group``."""
        matches = [_match(group[0]) | {"group": [_match(match) for match in group[1:]]} for group in self.groups]
        return {
            "queries": list(self.queries),
            "images": self.images,
            "reranked": self.reranked,
            "thresholds": self.thresholds,
            "matches": matches,
        }


def _match(match: Match) -> dict[str, Any]:
    return {"entry": match.entry.to_dict(), "score": round(match.score, 5)}


def model_of(place: str, given: Path | None) -> tuple[Embedder, Path]:
    """Load the model ``given``, or else the one that made the gallery at ``place``.

    Raises:
        VireidError: no gallery, or its model has moved.
    """
    folder = given or model_folder(place)
    if folder is None or not folder.exists():
        raise VireidError(f"{place}: its model is not at {folder or 'any known place'}; name it with --model FOLDER")
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
    """Search for the person in the image files; return the answer and the thumbnails of the queries.

    Args:
        folder: folder of the model, with the thresholds of its evaluation.
        tracks: count and show tracks instead of images.

    Raises:
        VireidError: an image cannot be read, or the gallery raises it.
    """
    files = [file for text in images for file in find_files(text)]
    if not files:
        raise VireidError("search: expected at least one image of the person")
    ready = [prepare(read_file(file), str(file), embedder.height, embedder.width) for file in files]
    query = embedder.embed(np.stack([pixels for pixels, _, _ in ready]), modality)
    groups = search_groups(gallery, query, top, where, rerank, tracks)
    thresholds = score_thresholds(folder, modality)
    answer = Answer(tuple(file.name for file in files), groups, gallery.info().images, rerank, thresholds)
    return answer, [thumbnail for _, thumbnail, _ in ready]
