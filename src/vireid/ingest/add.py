"""Images into a gallery, batch by batch: what is in already is skipped, what cannot be read is reported at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from mimetypes import guess_type
from pathlib import Path

import numpy as np

from vireid.deploy.embedder import Embedder
from vireid.gallery.pictures import content_id, prepare
from vireid.gallery.records import Entry, Gallery, NewImage
from vireid.images import Pixels
from vireid.ingest.manifest import manifest_sources
from vireid.ingest.sources import About, Source, file_sources
from vireid.ingest.video import read_boxes, video_sources
from vireid.parallel import Progress, in_threads
from vireid.types import Modality, VireidError

BATCH = 64
"""Images read, embedded and acknowledged together: what an interruption may cost."""


@dataclass
class Added:
    """How an ingest went: images that were new, that were known (or came twice), and (name, why) of unreadable ones."""

    added: int = 0
    known: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Read:
    """A source's bytes, or why there are none."""

    source: Source
    data: bytes = b""
    id: str = ""
    error: str = ""


@dataclass(frozen=True)
class _Ready:
    """An image on its way into the network."""

    entry: Entry
    pixels: Pixels
    thumbnail: bytes


def add_images(
    gallery: Gallery,
    embedder: Embedder,
    sources: Iterable[Source],
    total: int,
    progress: Progress | None = None,
) -> Added:
    """Add images to a gallery. Every batch is acknowledged before the next is read, so an interrupted call goes on
    where it stopped when it is made again.

    Args:
        sources: in any order and number; each is read once.
        total: how many there are, for ``progress``.

    Raises:
        VireidError: the gallery or the model fails; what was acknowledged before is kept.
    """
    result, done = Added(), 0
    iterator = iter(sources)
    while batch := list(islice(iterator, BATCH)):
        _add_batch(gallery, embedder, batch, result)
        done += len(batch)
        if progress is not None:
            progress(done, max(total, done))
    return result


def _add_batch(gallery: Gallery, embedder: Embedder, batch: list[Source], result: Added) -> None:
    new: dict[str, _Read] = {}
    for found in in_threads(_read, batch):
        if found.error:
            result.failed.append((found.source.name, _why(found.source.name, found.error)))
        else:
            new.setdefault(found.id, found)
            result.known += new[found.id] is not found
    known = gallery.known(list(new))
    result.known += len(known)
    fresh = [found for id, found in new.items() if id not in known]
    ready: list[_Ready] = []
    for found, prepared in zip(fresh, in_threads(lambda found: _prepare(found, embedder), fresh), strict=True):
        if isinstance(prepared, str):
            result.failed.append((found.source.name, _why(found.source.name, prepared)))
        else:
            ready.append(prepared)
    if ready:
        added = gallery.add(_embedded(embedder, ready))
        result.added += added
        result.known += len(ready) - added


def _why(name: str, error: str) -> str:
    kind = guess_type(name)[0] or ""
    return f"{error}; from a video, --boxes FILE takes the people" if kind.startswith("video/") else error


def _read(source: Source) -> _Read:
    try:
        data = source.read()
    except VireidError as error:
        return _Read(source, error=str(error))
    return _Read(source, data, content_id(data))


def _prepare(found: _Read, embedder: Embedder) -> _Ready | str:
    """Decode an image; return why where it cannot be."""
    about, name = found.source.about, found.source.name
    if about.modality is None:
        return f"{name}: modality unknown; expected visible or infrared"
    try:
        pixels, thumbnail, id = prepare(found.data, name, embedder)
        printable = "".join(c if c.isprintable() else "?" for c in name)[-300:]
        return _Ready(Entry(id, printable, about.modality, about.camera, about.time, about.track), pixels, thumbnail)
    except VireidError as error:
        return str(error)


def _embedded(embedder: Embedder, ready: list[_Ready]) -> Iterator[NewImage]:
    for modality in Modality:
        part = [image for image in ready if image.entry.modality is modality]
        if part:
            vectors = embedder.embed(np.stack([image.pixels for image in part]), modality)
            yield from (NewImage(r.entry, vector, r.thumbnail) for r, vector in zip(part, vectors, strict=True))


def collect(
    inputs: tuple[str, ...], about: About, manifest: Path | None = None, boxes: Path | None = None
) -> tuple[Iterable[Source], int]:
    """Return the images of files, folders, patterns and a manifest, or of one video with boxes; and their number.

    Raises:
        VireidError: nothing to add, a video without a file of boxes beside it, or what the readers of each raise.
    """
    if boxes is not None:
        if len(inputs) != 1 or manifest is not None:
            raise VireidError(f"{boxes}: boxes belong to one video; give that one and no manifest")
        found = read_boxes(boxes)
        if not found:
            raise VireidError(f"{boxes}: no boxes in it; expected a line for each")
        return video_sources(Path(inputs[0]), found, about), len(found)
    sources = file_sources(inputs, about)
    if manifest is not None:
        sources += manifest_sources(manifest, about)
    if not sources:
        raise VireidError("add: expected images, folders, patterns or --manifest FILE")
    return sources, len(sources)
