"""A gallery in memory and a model without a network, for the service's tests and benchmark."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from vireid.deploy.embedder import Embedder, Vectors
from vireid.gallery.records import Entry, GalleryInfo, Match, NewImage, Where
from vireid.images import Pixels
from vireid.types import FeatureKind, Modality, VireidError

CELLS = (6, 4)
"""Rows and columns of the mean colours that make a feature."""


class FakeEmbedder(Embedder):
    """Features are an image's mean colours in a grid, without their mean; ``seconds`` is what a batch takes."""

    name = "fake"
    fingerprint = hashlib.sha256(b"fake").hexdigest()
    dimension = CELLS[0] * CELLS[1] * 3
    height, width, resampling = 48, 24, "bilinear"
    home = Path("nowhere")

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[int] = []

    def embed(self, images: Pixels, modality: Modality) -> Vectors:
        time.sleep(self.seconds)
        self.batches.append(len(images))
        means = self._means(images).reshape(len(images), -1) + 1e-3 * np.arange(self.dimension)
        means += 0.1 * int(modality) * np.cos(np.arange(self.dimension))  # the two streams differ
        means -= means.mean(axis=1, keepdims=True)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)

    def features(self, images: Pixels, modality: Modality, *, flip: bool = False) -> dict[FeatureKind, Vectors]:
        raise NotImplementedError  # only evaluation asks for more than `embed`

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        return np.asarray(self._means(images).mean(axis=3) / 255, np.float32)

    def _means(self, images: Pixels) -> Vectors:
        rows, columns = CELLS
        shape = (len(images), rows, self.height // rows, columns, self.width // columns, 3)
        return np.asarray(images.reshape(shape).mean(axis=(2, 4)), np.float32)


class MemoryGallery:
    """`Gallery` in memory with an exact search; ``broken`` is raised by every call while it is set."""

    def __init__(self, embedder: FakeEmbedder | None = None) -> None:
        self._model = embedder or FakeEmbedder()
        self._images: dict[str, NewImage] = {}
        self._lock = threading.Lock()
        self.broken: Exception | None = None
        self.seconds = 0.0

    def info(self) -> GalleryInfo:
        self._check()
        entries = [image.entry for image in self._images.values()]
        times = [entry.time for entry in entries if entry.time is not None]
        return GalleryInfo(
            model=self._model.name,
            fingerprint=self._model.fingerprint,
            dimension=self._model.dimension,
            dtype="float32",
            images=len(entries),
            cameras=_counts(entry.camera for entry in entries),
            modalities={str(m): sum(entry.modality == m for entry in entries) for m in Modality},
            first=min(times, default=None),
            last=max(times, default=None),
        )

    def known(self, ids: Sequence[str]) -> set[str]:
        self._check()
        return set(ids) & self._images.keys()

    def add(self, images: Iterable[NewImage]) -> int:
        self._check()
        with self._lock:
            before = len(self._images)
            for image in images:
                self._images.setdefault(image.entry.id, image)
            return len(self._images) - before

    def search(self, query: Vectors, top: int, where: Where = Where(), rerank: bool = False) -> list[Match]:  # noqa: B008
        self._check()
        person = query.mean(axis=0) / np.linalg.norm(query.mean(axis=0))
        entries = [image.entry for image in list(self._images.values()) if meant(image.entry, where)]
        scores = {entry.id: float(self._images[entry.id].vector @ person) for entry in entries}
        ranked = sorted(entries, key=lambda entry: (-scores[entry.id], entry.id))
        return [Match(entry, scores[entry.id]) for entry in ranked[:top]]

    def entries(self, where: Where = Where(), limit: int | None = None, after: str = "") -> list[Entry]:  # noqa: B008
        self._check()
        found = [image.entry for image in list(self._images.values()) if meant(image.entry, where)]
        return sorted((e for e in found if e.id > after), key=lambda entry: entry.id)[:limit]

    def vectors(self, ids: Sequence[str]) -> Vectors:
        return (
            np.stack([self._one(id).vector for id in ids])
            if len(ids)
            else np.empty((0, self._model.dimension), np.float32)
        )

    def thumbnail(self, id: str) -> bytes:
        return self._one(id).thumbnail

    def remove(self, where: Where) -> int:
        self._check()
        if where == Where():
            raise VireidError("where: expected a restriction")
        gone = [image.entry.id for image in self._images.values() if meant(image.entry, where)]
        for id in gone:
            del self._images[id]
        return len(gone)

    def close(self) -> None:
        pass

    def _one(self, id: str) -> NewImage:
        self._check()
        if id not in self._images:
            raise VireidError(f"image {id}: not in the gallery")
        return self._images[id]

    def _check(self) -> None:
        time.sleep(self.seconds)
        if self.broken is not None:
            raise self.broken


def meant(entry: Entry, where: Where) -> bool:
    """Whether an entry passes the filter."""
    if (where.since, where.until) != (None, None) and entry.time is None:
        return False
    time = entry.time or 0.0
    return (
        (not where.ids or entry.id in where.ids)
        and where.modality in (None, entry.modality)
        and (not where.cameras or entry.camera in where.cameras)
        and entry.camera not in where.not_cameras
        and (where.since is None or time >= where.since)
        and (where.until is None or time < where.until)
        and (not where.tracks or entry.track in where.tracks)
    )


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
