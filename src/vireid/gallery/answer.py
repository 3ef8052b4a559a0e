"""Searches, from image files to an answer, with the model that the gallery remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vireid.deploy.embedder import Embedder
from vireid.gallery.pictures import find_files, prepare, read_file
from vireid.gallery.query import search_groups
from vireid.gallery.records import EVERYTHING, Gallery, Match, Where
from vireid.gallery.store import model_source
from vireid.gallery.thresholds import score_thresholds
from vireid.types import Modality, VireidError

if TYPE_CHECKING:
    from vireid.deploy.load import ModelLike


@dataclass(frozen=True)
class Answer:
    """A search and what it found: ``groups`` of matches, best first; one match each unless grouped by track.

    ``queries`` are the names of the query images and ``thumbnails`` small JPEGs of them, ``images`` is the size of the
    gallery, ``thresholds`` are those of `vireid.gallery.thresholds.score_thresholds`.
    """

    queries: tuple[str, ...]
    groups: list[list[Match]]
    images: int
    reranked: bool
    thresholds: dict[str, float]
    thumbnails: tuple[bytes, ...] = field(default=(), repr=False)

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


def model_of(place: str, given: str | None) -> Embedder:
    """Load the model ``given``, or else the one that made the gallery at ``place``.

    Raises:
        VireidError: no gallery, or its model has moved.
    """
    from vireid.deploy.load import load_model

    if given:
        return load_model(given)
    source = model_source(place)
    if not source or not Path(source).exists():
        raise VireidError(f"{place}: its model is not at {source or 'any known place'}; name it with --model")
    return load_model(source)


def search(
    gallery: Gallery,
    model: ModelLike,
    images: Path | str | Sequence[Path | str],
    modality: Modality,
    *,
    top: int = 20,
    where: Where = EVERYTHING,
    rerank: bool = False,
    tracks: bool = False,
) -> Answer:
    """Search a gallery for the person that image files show.

    Args:
        model: the gallery's, whatever `vireid.load_model` takes.
        images: an image, a folder, a pattern such as ``"night/*.jpg"``, or several of them; all of one person.
        modality: of these images.
        top: matches wanted.
        where: which entries are searched.
        rerank: put a shortlist into the order of k-reciprocal re-ranking.
        tracks: count and return tracks, not images.

    Raises:
        VireidError: an image that cannot be read, or what the gallery raises.

    Examples:
        >>> import vireid
        >>> _ = vireid.render("folder", 3, images=1, height=64, width=32, out="people")
        >>> model = vireid.load_model("runs/tiny")  # of the example of `vireid.train`
        >>> gallery = vireid.open_gallery("yard", create=model)
        >>> _ = vireid.add_images(gallery, model, "people/visible", vireid.Modality.VISIBLE, camera="gate")
        >>> answer = vireid.search(gallery, model, "people/infrared/0001", vireid.Modality.INFRARED, top=2)
        >>> [group[0].entry.camera for group in answer.groups]
        ['gate', 'gate']
        >>> gallery.close()
    """
    from vireid.deploy.load import load_model

    embedder = load_model(model)
    inputs = [images] if isinstance(images, str | Path) else images
    files = [file for text in inputs for file in find_files(str(text))]
    if not files:
        raise VireidError("search: expected at least one image of the person")
    ready = [prepare(read_file(file), str(file), embedder) for file in files]
    query = embedder.embed(np.stack([pixels for pixels, _, _ in ready]), modality)
    groups = search_groups(gallery, query, top, where, rerank, tracks)
    thresholds = score_thresholds(embedder.home, modality)
    names, thumbnails = tuple(file.name for file in files), tuple(thumbnail for _, thumbnail, _ in ready)
    return Answer(names, groups, gallery.info().images, rerank, thresholds, thumbnails)
