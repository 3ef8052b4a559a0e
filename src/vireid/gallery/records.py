"""Records that the galleries, their commands, the service and the page exchange, and the `Gallery` protocol."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vireid.deploy.embedder import Vectors
from vireid.gallery.times import LATEST, show_time
from vireid.types import Modality, VireidError

MAX_NAME = 1024
MAX_LABEL = 256
"""Longest name of a camera or track, in bytes of UTF-8; `MAX_NAME` is that of an image."""
MAX_THUMBNAIL = 45_000
"""Largest thumbnail in bytes; in base64 it still fits a text field of Milvus (65,535)."""


@dataclass(frozen=True)
class Entry:
    """One image of a gallery, without its vector and thumbnail.

    ``id`` is the SHA-256 of the image's content in hexadecimal digits, so an image is in a gallery only once. ``name``
    is the image's name at its source (shown to people, never opened), ``camera`` a name ("" if unknown), ``time`` in
    seconds since 1970 UTC, ``track`` the name of the tracklet that the image belongs to.

    Raises:
        VireidError: an invalid id, a text that is too long or not printable, a time out of range.
    """

    id: str
    name: str
    modality: Modality
    camera: str = ""
    time: float | None = None
    track: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.id):
            raise VireidError(f"id: expected 64 hexadecimal digits, got {self.id[:80]!r}")
        for what, text, most in (
            ("name", self.name, MAX_NAME),
            ("camera", self.camera, MAX_LABEL),
            ("track", self.track or "", MAX_LABEL),
        ):
            if not text.isprintable() or len(text.encode()) > most:
                raise VireidError(f"{what}: expected printable text of at most {most} bytes, got {text[:80]!r}")
        if self.time is not None and not 0 <= self.time < LATEST:
            raise VireidError(f"time: expected seconds since 1970, at least 0, got {self.time}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, the time as ISO 8601 in UTC."""
        time = None if self.time is None else show_time(self.time)
        return vars(self) | {"modality": str(self.modality), "time": time}


@dataclass(frozen=True)
class NewImage:
    """An image to add: its entry, its vector (dimension,) of length 1, and its thumbnail, a JPEG 128 pixels high.

    Raises:
        VireidError: a vector with NaN or of another length, a thumbnail that is not a JPEG or too large.
    """

    entry: Entry
    vector: Vectors = field(repr=False)
    thumbnail: bytes = field(repr=False)

    def __post_init__(self) -> None:
        length = float(np.linalg.norm(self.vector.astype(np.float32)))
        if self.vector.ndim != 1 or not abs(length - 1) < 0.01:  # half precision keeps it to 0.001
            raise VireidError(f"{self.entry.name}: expected a vector (d,) of length 1, got length {length:.3g}")
        if not self.thumbnail.startswith(b"\xff\xd8") or len(self.thumbnail) > MAX_THUMBNAIL:
            raise VireidError(f"{self.entry.name}: expected a JPEG thumbnail of at most {MAX_THUMBNAIL} bytes")


@dataclass(frozen=True)
class Where:
    """A filter of entries: an empty field does not restrict, ``since`` is inclusive and ``until`` exclusive.

    An entry without a time is outside every time span.
    """

    ids: tuple[str, ...] = ()
    modality: Modality | None = None
    cameras: tuple[str, ...] = ()
    not_cameras: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    tracks: tuple[str, ...] = ()


EVERYTHING = Where()


@dataclass(frozen=True)
class Match:
    """An entry and its cosine similarity to the query, from -1 to 1 (after re-ranking still the cosine)."""

    entry: Entry
    score: float


@dataclass(frozen=True)
class GalleryInfo:
    """The model and the contents of a gallery; ``dtype`` is float16 or float32, times are as in `Entry`."""

    model: str
    fingerprint: str
    dimension: int
    dtype: str
    images: int
    cameras: dict[str, int]
    modalities: dict[str, int]
    first: float | None
    last: float | None

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


class Gallery(Protocol):
    """A store of `NewImage`: a folder, a Milvus server, or a running service. Every method may raise `VireidError`.

    Once `add` returns, its images are kept whatever happens next; once `remove` returns, its images are gone for good.

    Examples:
        >>> import vireid
        >>> _ = vireid.render("folder", 3, images=1, height=64, width=32, out="people")
        >>> model = vireid.load_model("runs/tiny")  # of the example of `vireid.train`
        >>> gallery = vireid.open_gallery("yard", create=model)
        >>> _ = vireid.add_images(gallery, model, "people/visible", vireid.Modality.VISIBLE, camera="gate")
        >>> gallery.info().cameras
        {'gate': 3}
        >>> gallery.remove(vireid.gallery.Where(cameras=("gate",)))
        3
        >>> gallery.close()
    """

    def info(self) -> GalleryInfo:
        """Return what the gallery holds, and of which model."""
        ...

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of these images the gallery already has."""
        ...

    def add(self, images: Iterable[NewImage]) -> int:
        """Store images durably and return how many were new."""
        ...

    def search(self, query: Vectors, top: int, where: Where = EVERYTHING, rerank: bool = False) -> list[Match]:
        """Return the best ``top`` entries for one person, best first; ``query`` is (n, dimension), their images."""
        ...

    def entries(self, where: Where = EVERYTHING, limit: int | None = None, after: str = "") -> list[Entry]:
        """Return entries sorted by id, at most ``limit``, starting after the id ``after``."""
        ...

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Return the vectors (n, dimension) of these entries; raise for an unknown id."""
        ...

    def thumbnail(self, id: str) -> bytes:
        """Return the JPEG thumbnail of an entry; raise for an unknown id."""
        ...

    def remove(self, where: Where) -> int:
        """Delete the matching entries with their vectors and thumbnails, and return their number.

        Raise for a ``where`` that restricts nothing.
        """
        ...

    def close(self) -> None:
        """Let go of the store; nothing else can be called afterwards."""
        ...


@runtime_checkable
class Store(Protocol):
    """A gallery that this process holds itself: a folder or a collection."""

    def problems(self) -> list[str]:
        """Read everything and return what is damaged, one line each."""
        ...

    def compact(self) -> None:
        """Free the space of deleted images."""
        ...
