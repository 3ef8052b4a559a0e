"""Copying a whole gallery to another place, or exporting it to a file for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vireid.files import atomic_path
from vireid.gallery.format import Dtype
from vireid.gallery.records import Entry, Gallery, NewImage, Where
from vireid.gallery.store import model_source, open_gallery
from vireid.parallel import Progress, in_threads
from vireid.types import VireidError

_PAGE = 256


@dataclass(frozen=True)
class ModelOf:
    """The model of a gallery, as far as a copy needs to know it."""

    name: str
    fingerprint: str
    dimension: int
    source: str


@dataclass(frozen=True)
class Copied:
    """Number of images copied and compared, and number of other images in the target."""

    images: int
    others: int


def copy_gallery(source: Gallery, target: Gallery, progress: Progress | None = None) -> Copied:
    """Copy every image and compare entry, thumbnail and vector of the copy, at the lower precision of the galleries.

    Images already in ``target`` are compared too, so an interrupted copy resumes where it stopped.

    Raises:
        VireidError: another model, or an image that differs in the target.
    """
    total = source.info()
    there = target.info()
    if there.fingerprint != total.fingerprint:
        raise VireidError(
            f"migrate: the target holds vectors of {there.model}, not of {total.model}; name an empty target"
        )
    dtype: Dtype = "float16" if "float16" in (total.dtype, there.dtype) else "float32"
    done = 0
    for images in _pages(source):
        known = target.known([image.entry.id for image in images])
        target.add([image for image in images if image.entry.id not in known])
        _compare(images, target, dtype)
        done += len(images)
        if progress is not None:
            progress(done, max(done, total.images))
    return Copied(done, target.info().images - done)


def _pages(gallery: Gallery) -> Iterator[list[NewImage]]:
    after = ""
    while entries := gallery.entries(limit=_PAGE, after=after):
        after = entries[-1].id
        yield _images(gallery, entries)


def _images(gallery: Gallery, entries: list[Entry]) -> list[NewImage]:
    ids = [entry.id for entry in entries]
    vectors, pictures = gallery.vectors(ids), in_threads(gallery.thumbnail, ids)
    return [NewImage(*parts) for parts in zip(entries, vectors, pictures, strict=True)]


def _compare(images: list[NewImage], target: Gallery, dtype: Dtype) -> None:
    entries = target.entries(Where(ids=tuple(image.entry.id for image in images)))
    copies = {copy.entry.id: copy for copy in _images(target, entries)}
    for image in images:
        if image.entry.id not in copies or not _same(image, copies[image.entry.id], dtype):
            raise VireidError(f"image {image.entry.id}: differs in the target; remove it there and migrate again")


def _same(image: NewImage, copy: NewImage, dtype: Dtype) -> bool:
    vectors = np.array_equal(image.vector.astype(dtype), copy.vector.astype(dtype))
    return image.entry == copy.entry and image.thumbnail == copy.thumbnail and vectors


def write_parquet(gallery: Gallery, out: Path, progress: Progress | None = None) -> int:
    """Write a Parquet file with a row per image and return their number.

    Columns: ``id``, ``name``, ``modality``, ``camera``, ``time`` (UTC), ``track``, ``vector`` (list of float32) and
    ``thumbnail`` (JPEG).

    Raises:
        VireidError: the name does not end in .parquet, pyarrow is not installed, or the file cannot be written.
    """
    if out.suffix.lower() != ".parquet":
        raise VireidError(f"{out}: expected a file name that ends in .parquet")
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise VireidError("export needs pyarrow: install with pip install 'vireid[search]'") from error
    info, done = gallery.info(), 0
    kinds = {name: arrow.string() for name in ("id", "name", "modality", "camera")}
    kinds |= {"time": arrow.timestamp("ms", "UTC"), "track": arrow.string()}
    kinds |= {"vector": arrow.list_(arrow.float32(), info.dimension), "thumbnail": arrow.binary()}
    schema = arrow.schema(kinds, metadata={"model": info.model, "fingerprint": info.fingerprint})
    with atomic_path(out) as path, parquet.ParquetWriter(path, schema) as writer:
        for images in _pages(gallery):
            writer.write_table(arrow.Table.from_pylist([_row(image) for image in images], schema=schema))
            done += len(images)
            if progress is not None:
                progress(done, max(done, info.images))
    return done


def _row(image: NewImage) -> dict[str, object]:
    time = None if image.entry.time is None else round(image.entry.time * 1000)
    entry = vars(image.entry) | {"modality": str(image.entry.modality), "time": time}
    return entry | {"vector": image.vector, "thumbnail": image.thumbnail}


def open_copy(gallery: Gallery, place: str, target: str) -> Gallery:
    """Open the gallery at ``target``; if there is none, create it for the model of the gallery at ``place``.

    Raises:
        VireidError: the target is the source, or holds vectors of another model.
    """
    if target == place or (
        "://" not in target and "://" not in place and Path(target).resolve() == Path(place).resolve()
    ):
        raise VireidError(f"{target}: the gallery is already there; name another place")
    info = gallery.info()
    dtype: Dtype = "float16" if info.dtype == "float16" else "float32"
    model = ModelOf(info.model, info.fingerprint, info.dimension, model_source(place))
    return open_gallery(target, create=model, dtype=dtype)
