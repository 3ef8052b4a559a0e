"""Adding images from files, folders, manifests and videos to a gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.ingest.add import Added, add_images

__all__ = ["Added", "add_images"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Added": "add",
        "add_images": "add",
    },
)
