"""Verifying and compacting a store, which only the process that holds it can do."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from vireid.search.records import Gallery
from vireid.types import VireidError


@runtime_checkable
class Store(Protocol):
    """A gallery that this process holds itself: a folder or a collection."""

    def problems(self) -> list[str]:
        """Read everything and return what is damaged, one line each."""
        ...

    def compact(self) -> None:
        """Give the space of deleted images back."""
        ...


def store_of(gallery: Gallery) -> Store:
    """Return the gallery as the store that it is.

    Raises:
        VireidError: a running service holds the store.
    """
    if not isinstance(gallery, Store):
        raise VireidError("a running service holds this gallery; stop `vireid serve`, then verify or compact")
    return gallery
