"""Galleries of embedded images, in a folder, on a Milvus server or behind a service, and queries on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.gallery.answer import Answer, search
    from vireid.gallery.query import by_track
    from vireid.gallery.records import Entry, Gallery, GalleryInfo, Match, NewImage, Where
    from vireid.gallery.store import open_gallery

__all__ = [
    "Answer",
    "Entry",
    "Gallery",
    "GalleryInfo",
    "Match",
    "NewImage",
    "Where",
    "by_track",
    "open_gallery",
    "search",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Answer": "answer",
        "Entry": "records",
        "Gallery": "records",
        "GalleryInfo": "records",
        "Match": "records",
        "NewImage": "records",
        "Where": "records",
        "by_track": "query",
        "open_gallery": "store",
        "search": "answer",
    },
)
