"""A search from image files to an answer, with the model that the gallery remembers."""

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
    """A search and what it found: ``groups`` of matches, best first; one match each unless grouped by track."""

    queries: tuple[str, ...]
    groups: list[list[Match]]
    images: int
    reranked: bool
    thresholds: dict[str, float]

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader has to know beside the list, a sentence each."""
        order = "re-ranked by k-reciprocal neighbours; scores are cosines" if self.reranked else "by cosine similarity"
        notes = [f"{self.images:,} images searched, {order}."]
        if self.thresholds:
            rates = "; ".join(f"{rate}: {score:.3f}" for rate, score in self.thresholds.items())
            notes.append(
                f"Score that this share of comparisons of different people reaches, by the evaluation: {rates}."
            )
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a group's best match carries the rest of its track as ``group``."""
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
