"""What the gallery, its commands, the service and the page hand to one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vireid.deploy.embedder import Vectors
from vireid.types import Modality


@dataclass(frozen=True)
class Entry:
    """One image of a gallery, without its vector and picture.

    ``id`` is the SHA-256 of the image's content in hexadecimal digits: an image is in a gallery once. ``name`` is what
    the image was called where it came from (for people; never opened), ``camera`` a name ("" where unknown), ``time``
    in seconds since 1970 UTC, ``track`` the name of the tracklet that it belongs to.
    """

    id: str
    name: str
    modality: Modality
    camera: str = ""
    time: float | None = None
    track: str | None = None


@dataclass(frozen=True)
class NewImage:
    """An image to add: its entry, its vector (dimension,), and a small JPEG of it (128 pixels high)."""

    entry: Entry
    vector: Vectors = field(repr=False)
    thumbnail: bytes = field(repr=False)


@dataclass(frozen=True)
class Where:
    """Which entries are meant; an empty field does not restrict, ``since`` is inclusive and ``until`` exclusive."""

    ids: tuple[str, ...] = ()
    modality: Modality | None = None
    cameras: tuple[str, ...] = ()
    not_cameras: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    tracks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Match:
    """An entry and its cosine similarity to the query, from -1 to 1 (after re-ranking still the cosine)."""

    entry: Entry
    score: float


@dataclass(frozen=True)
class GalleryInfo:
    """What a gallery holds, and of which model."""

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

    What `add` has returned for is kept whatever happens afterwards; what `remove` has returned for is gone for good.
    """

    def info(self) -> GalleryInfo: ...

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of these images are in already."""
        ...

    def add(self, images: Iterable[NewImage]) -> int:
        """Store images durably and return how many were new."""
        ...

    def search(self, query: Vectors, top: int, where: Where = Where(), rerank: bool = False) -> list[Match]:
        """Return the best ``top`` entries for one person, best first; ``query`` (n, dimension) are images of them."""
        ...

    def entries(self, where: Where = Where(), limit: int | None = None, after: str = "") -> list[Entry]:
        """Return entries in the order of their ids, at most ``limit``, those behind the id ``after``."""
        ...

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Return the vectors (n, dimension) of these entries; raises for an unknown id."""
        ...

    def thumbnail(self, id: str) -> bytes:
        """Return an entry's small JPEG; raises for an unknown id."""
        ...

    def remove(self, where: Where) -> int:
        """Delete the entries that are meant, with vector and picture, and return their number."""
        ...

    def close(self) -> None: ...
