"""Adding images to a gallery in batches: known images are skipped, unreadable ones are reported at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from mimetypes import guess_type
from pathlib import Path

import numpy as np

from vireid.deploy.embedder import Embedder
from vireid.deploy.load import ModelLike, load_model
from vireid.gallery.pictures import content_id, prepare
from vireid.gallery.records import Entry, Gallery, NewImage
from vireid.images import Pixels
from vireid.ingest.manifest import manifest_sources
from vireid.ingest.sources import About, Source, file_sources
from vireid.ingest.video import read_boxes, video_sources
from vireid.parallel import Progress, in_threads
from vireid.types import Modality, VireidError

BATCH = 64
"""Images read, embedded and acknowledged together: at most this many are lost by an interruption."""


@dataclass
class Added:
    """Result of an ingest: new images, known (or repeated) images, and (name, reason) of unreadable ones."""

    added: int = 0
    known: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Read:
    """The bytes of a source, or the reason why they cannot be read."""

    source: Source
    data: bytes = b""
    id: str = ""
    error: str = ""


@dataclass(frozen=True)
class _Ready:
    """An image ready for the network."""

    entry: Entry
    pixels: Pixels
    thumbnail: bytes


def add_images(
    gallery: Gallery,
    model: ModelLike,
    images: Path | str | Sequence[Path | str] = (),
    modality: Modality | None = None,
    *,
    camera: str = "",
    time: float | None = None,
    track: str | None = None,
    manifest: Path | None = None,
    boxes: Path | None = None,
    progress: Progress | None = None,
) -> Added:
    """Embed images and add them to a gallery; those that are in already are skipped.

    Every batch of `BATCH` is acknowledged before the next is read, so an interrupted call resumes where it stopped when
    it is made again.

    Args:
        model: the gallery's, whatever `vireid.load_model` takes.
        images: an image, a folder, a pattern such as ``"day/*.jpg"``, or several of them; one video with ``boxes``.
        modality: of the images, where the manifest does not say it.
        camera: name of the camera, as ``time`` and ``track`` for what the manifest does not say.
        time: in seconds since 1970 UTC; of a video, when it begins.
        track: name of the tracklet.
        manifest: CSV or Parquet file with the columns path, modality, camera, time, track.
        boxes: CSV file of a video's boxes with the columns frame, x, y, w, h, track.
        progress: called with (images done, images).

    Returns:
        how many were new and known, and which could not be read.

    Raises:
        VireidError: nothing to add, or the gallery or the model fails; what was acknowledged before is kept.

    Examples:
        >>> import vireid
        >>> _ = vireid.render("folder", 3, images=1, height=64, width=32, out="people")
        >>> model = vireid.load_model("runs/tiny")  # of the example of `vireid.train`
        >>> gallery = vireid.open_gallery("yard", create=model)
        >>> vireid.add_images(gallery, model, "people/visible", vireid.Modality.VISIBLE, camera="gate")
        Added(added=3, known=0, failed=[])
        >>> gallery.close()
    """
    inputs = [images] if isinstance(images, str | Path) else images
    sources, total = collect(tuple(map(str, inputs)), About(modality, camera, time, track), manifest, boxes)
    return add_sources(gallery, load_model(model), sources, total, progress)


def add_sources(
    gallery: Gallery,
    embedder: Embedder,
    sources: Iterable[Source],
    total: int,
    progress: Progress | None = None,
) -> Added:
    """`add_images` from sources.

    Args:
        sources: the images, in any order and number; each is read once.
        total: number of sources, for ``progress``.

    Raises:
        VireidError: the gallery or the model fails; images acknowledged before are kept.
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
    return f"{error}; for a video, give --boxes FILE" if kind.startswith("video/") else error


def _read(source: Source) -> _Read:
    try:
        data = source.read()
    except VireidError as error:
        return _Read(source, error=str(error))
    return _Read(source, data, content_id(data))


def _prepare(found: _Read, embedder: Embedder) -> _Ready | str:
    """Decode an image, or return the reason why it cannot be decoded."""
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
    """Return the images of files, folders, patterns and a manifest, or of one video with boxes, and their number.

    Raises:
        VireidError: nothing to add, boxes without exactly one video, or a reader raises it.
    """
    if boxes is not None:
        if len(inputs) != 1 or manifest is not None:
            raise VireidError(f"{boxes}: boxes belong to one video; give that video and no manifest")
        found = read_boxes(boxes)
        if not found:
            raise VireidError(f"{boxes}: contains no boxes; expected one line per box")
        return video_sources(Path(inputs[0]), found, about), len(found)
    sources = file_sources(inputs, about)
    if manifest is not None:
        sources += manifest_sources(manifest, about)
    if not sources:
        raise VireidError("add: expected images, folders, patterns or --manifest FILE")
    return sources, len(sources)
