"""A gallery in a folder: no server, one process at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from vireid.deploy.embedder import Vectors
from vireid.gallery.format import StoreSettings, check_images, gallery_info
from vireid.gallery.index import FolderIndex
from vireid.gallery.journal import BLOCK, JOURNAL, Journal
from vireid.gallery.query import answer, one_person, require_restriction
from vireid.gallery.records import EVERYTHING, Entry, GalleryInfo, Match, NewImage, Where


class FolderGallery:
    """`Gallery` that consists of a journal and an index that follows it.

    A row is acknowledged once the journal has written it to disk. The first call that needs the index opens it and
    updates it from the journal.
    """

    def __init__(self, folder: Path, settings: StoreSettings, lock: int) -> None:
        """Open the store in ``folder``; ``lock`` is the descriptor that holds its lock until `close`."""
        self._settings = settings
        self._lock: int | None = lock
        self._index_path = folder / "index.db"
        self._journal = Journal(folder / JOURNAL, settings.dimension, settings.dtype)
        self._index: FolderIndex | None = None
        self._opening = threading.Lock()

    def _opened(self) -> FolderIndex:
        with self._opening:
            if self._index is None:
                self._index = FolderIndex(self._index_path, self._journal, self._settings.dimension)
            return self._index

    def info(self) -> GalleryInfo:
        return gallery_info(self._settings, self._journal.summary())

    def known(self, ids: Sequence[str]) -> set[str]:
        return self._journal.known(ids)

    def add(self, images: Iterable[NewImage]) -> int:
        new = list(images)
        check_images(new, self._settings)
        index = self._opened()
        added = self._journal.add(new)
        index.follow()
        return added

    def search(self, query: Vectors, top: int, where: Where = EVERYTHING, rerank: bool = False) -> list[Match]:
        person = one_person(query, self._settings.dimension, top)
        index = self._opened()

        def find(number: int) -> list[Match]:
            hits = index.search(person, number, where)
            entries = self._journal.of_seqs([seq for seq, _ in hits])
            return [Match(entries[seq], score) for seq, score in hits if seq in entries]

        return answer(find, self._journal.vectors, person, top, rerank)

    def entries(self, where: Where = EVERYTHING, limit: int | None = None, after: str = "") -> list[Entry]:
        return self._journal.entries(where, limit, after)

    def vectors(self, ids: Sequence[str]) -> Vectors:
        return self._journal.vectors(ids)

    def thumbnail(self, id: str) -> bytes:
        return self._journal.thumbnail(id)

    def remove(self, where: Where) -> int:
        require_restriction(where)
        index = self._opened()
        seqs = self._journal.seqs(where)
        if seqs:
            with index.without({seq // BLOCK for seq in seqs}):
                self._journal.remove(seqs)
        return len(seqs)

    def problems(self) -> list[str]:
        """Read the whole store and return what is damaged, one line each."""
        return self._journal.problems() + self._opened().problems()

    def compact(self) -> None:
        """Free the space of deleted images and rebuild the index."""
        self._opened().delete()
        self._index = None
        self._journal.compact()
        self._opened()

    def close(self) -> None:
        """Close the store so that other processes can open it; a second call does nothing."""
        if self._lock is None:
            return
        if self._index is not None:
            self._index.close()
        self._journal.close()
        os.close(self._lock)
        self._lock = None
