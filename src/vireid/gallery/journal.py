"""The contents of a gallery in a folder, in one SQLite file: the source from which its Milvus index is built.

Milvus Lite keeps acknowledged rows when its process is killed, but it reads its log only as far as the log is intact,
stores only float32, and leaves deleted vectors in its files. SQLite has a committed row on disk before `add` returns,
and overwrites what is deleted.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np

from vireid.deploy.embedder import Vectors
from vireid.files import disk_error
from vireid.gallery.records import Entry, NewImage, Where
from vireid.types import Modality, VireidError

JOURNAL = "entries.sqlite"
"""Name of the file in the folder of a store."""
BLOCK = 2048
"""Rows that the index keeps in one partition, which is rewritten when one of them is deleted."""

_TABLE = """
CREATE TABLE IF NOT EXISTS images (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, modality INTEGER NOT NULL, camera TEXT NOT NULL, time REAL, track TEXT,
  checksum INTEGER NOT NULL, vector BLOB NOT NULL, thumbnail BLOB NOT NULL
)"""
_ENTRY = "id, name, modality, camera, time, track"


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into one line."""
    try:
        yield
    except sqlite3.Error as error:
        if "full" in str(error):
            raise disk_error(OSError(ENOSPC, ""), path) from error
        if "locked" in str(error):
            raise VireidError(f"{path}: another process is using it; stop that process and try again") from error
        if isinstance(error, sqlite3.OperationalError):
            what, advice = "cannot be read or written", "check the disk and your permissions, then try again"
        else:
            what, advice = "damaged", "restore it from a backup, or save what `vireid gallery export` can read"
        raise VireidError(f"{path}: {what} ({error}); {advice}") from error


def create_journal(path: Path) -> None:
    """Create the journal of a new store, or take over the empty one that a killed process left.

    Raises:
        VireidError: a journal with images exists, or it cannot be written.
    """
    with _told(path), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute(_TABLE)
        if connection.execute("SELECT 1 FROM images").fetchone():
            raise VireidError(f"{path}: has images, but store.json is missing beside it; restore that from a backup")


class Journal:
    """The rows of a gallery. Every method may be called from any thread and raises `VireidError` in one line."""

    def __init__(self, path: Path, dimension: int, dtype: str) -> None:
        """Open the journal that `create_journal` made; a missing or empty one has lost its rows."""
        self._path, self._dimension = path, dimension
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._lock = threading.RLock()
        if not path.exists():
            raise self._lost()
        with self._told():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=15)
            for pragma in ("journal_mode=WAL", "synchronous=EXTRA", "secure_delete=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'images'").fetchone():
                raise self._lost()

    def _lost(self) -> VireidError:
        return VireidError(
            f"{self._path}: the images of this gallery are missing; restore the whole folder from a backup, or "
            "delete it and add the images again"
        )

    def close(self) -> None:
        with self._told():
            self._connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Hold the connection, and turn errors of SQLite into one line."""
        with self._lock, _told(self._path):
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk rolls back by itself
                    self._connection.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._told():
            return self._connection.execute(sql, values).fetchall()

    def add(self, images: Sequence[NewImage]) -> int:
        """Write the images that are new to disk and return their number."""
        before = self.count()
        with self._transaction():
            for image in images:
                vector = image.vector.astype(self._dtype).tobytes()
                row = (*_columns(image.entry), _checksum(image.entry, vector, image.thumbnail), vector, image.thumbnail)
                self._connection.execute(
                    f"INSERT OR IGNORE INTO images ({_ENTRY}, checksum, vector, thumbnail) VALUES (?,?,?,?,?,?,?,?,?)",
                    row,
                )
        return self.count() - before

    def count(self) -> int:
        return int(self._rows("SELECT COUNT(*) FROM images")[0][0])

    def known(self, ids: Sequence[str]) -> set[str]:
        found = self._rows("SELECT id FROM images WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(ids)])
        return {row[0] for row in found}

    def entries(self, where: Where, limit: int | None, after: str) -> list[Entry]:
        clause, values = _clause(where)
        sql = f"SELECT {_ENTRY} FROM images WHERE {clause} AND id > ? ORDER BY id LIMIT ?"
        return [_entry(row) for row in self._rows(sql, [*values, after, -1 if limit is None else limit])]

    def of_seqs(self, seqs: Sequence[int]) -> dict[int, Entry]:
        """Return the entries of these rows, except deleted ones."""
        sql = f"SELECT seq, {_ENTRY} FROM images WHERE seq IN (SELECT value FROM json_each(?))"
        return {row[0]: _entry(row[1:]) for row in self._rows(sql, [json.dumps(seqs)])}

    def seqs(self, where: Where) -> list[int]:
        clause, values = _clause(where)
        return [row[0] for row in self._rows(f"SELECT seq FROM images WHERE {clause}", values)]

    def summary(self) -> list[tuple[int, str, int, float | None, float | None]]:
        """Return (modality, camera, images, first, last) for every modality and camera."""
        sql = "SELECT modality, camera, COUNT(*), MIN(time), MAX(time) FROM images GROUP BY 1, 2 ORDER BY 2, 1"
        return [tuple(row) for row in self._rows(sql)]

    def vectors(self, ids: Sequence[str]) -> Vectors:
        sql = "SELECT id, vector FROM images WHERE id IN (SELECT value FROM json_each(?))"
        found = {id: self._vector(data) for id, data in self._rows(sql, [json.dumps(ids)])}
        for id in ids:
            if id not in found:
                raise unknown(id)
        return np.stack([found[id] for id in ids]) if len(ids) else np.empty((0, self._dimension), np.float32)

    def thumbnail(self, id: str) -> bytes:
        found = self._rows("SELECT thumbnail FROM images WHERE id = ?", [id])
        if not found:
            raise unknown(id)
        return bytes(found[0][0])

    def blocks(self) -> dict[int, int]:
        """Return the number of rows in every `BLOCK` that is not empty."""
        return dict(self._rows(f"SELECT seq / {BLOCK}, COUNT(*) FROM images GROUP BY 1"))

    def since(self, seq: int, until: int, most: int) -> list[tuple[int, Entry, Vectors]]:
        """Return at most ``most`` rows from ``seq`` (inclusive) to ``until`` (exclusive), in order."""
        sql = f"SELECT seq, vector, {_ENTRY} FROM images WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        return [(row[0], _entry(row[2:]), self._vector(row[1])) for row in self._rows(sql, [seq, until, most])]

    def last(self) -> int:
        """Return the highest row number, 0 if there is no row."""
        return int(self._rows("SELECT COALESCE(MAX(seq), 0) FROM images")[0][0])

    def remove(self, seqs: Sequence[int]) -> None:
        """Delete these rows for good: after the commit their bytes are in no file.

        A write-ahead log would keep them until its next checkpoint, which a killed process does not reach. So the log
        is emptied and switched off during the deletion.
        """
        with self._told():
            self._connection.execute("PRAGMA journal_mode=DELETE")
            with self._transaction():
                sql = "DELETE FROM images WHERE seq IN (SELECT value FROM json_each(?))"
                self._connection.execute(sql, [json.dumps(seqs)])
            with suppress(sqlite3.OperationalError):  # another reader: the log is switched on at the next opening
                self._connection.execute("PRAGMA journal_mode=WAL")

    def compact(self) -> None:
        """Free the space of deleted rows."""
        with self._told():
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def problems(self) -> list[str]:
        """Read everything and report what is damaged."""
        found = [row[0] for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
        last = ""
        while rows := self._rows(
            f"SELECT {_ENTRY}, checksum, vector, thumbnail FROM images WHERE id > ? ORDER BY id LIMIT 256", [last]
        ):
            last = rows[-1][0]
            for *entry, checksum, vector, thumbnail in rows:
                try:
                    good = checksum == _checksum(_entry(tuple(entry)), vector, thumbnail)
                except ValueError:
                    good = False
                if not good:
                    found.append(
                        f"image {entry[0]}: entry, vector or thumbnail changed on disk; remove it and add it again"
                    )
        return [f"{self._path}: {line}" for line in found]

    def _vector(self, data: bytes) -> Vectors:
        vector = np.frombuffer(data, self._dtype).astype(np.float32)
        if vector.shape != (self._dimension,):
            raise VireidError(f"{self._path}: damaged; a vector has {len(vector)} of {self._dimension} values")
        return vector


def unknown(id: str) -> VireidError:
    return VireidError(f"image {id[:80]}: not in this gallery; `vireid gallery list` shows its images")


def _columns(entry: Entry) -> tuple[Any, ...]:
    time = None if entry.time is None else float(entry.time)
    return (entry.id, entry.name, int(entry.modality), entry.camera, time, entry.track)


def _entry(row: tuple[Any, ...]) -> Entry:
    id, name, modality, camera, time, track = row
    return Entry(id, name, Modality(modality), camera, time, track)


def _checksum(entry: Entry, vector: bytes, thumbnail: bytes) -> int:
    return zlib.crc32(thumbnail, zlib.crc32(vector, zlib.crc32(repr(_columns(entry)).encode())))


def _clause(where: Where) -> tuple[str, list[Any]]:
    """Return the SQL of a filter, and its values."""
    parts: list[str] = ["1"]
    values: list[Any] = []
    for column, wanted, name in (
        ("id", where.ids, "IN"),
        ("camera", where.cameras, "IN"),
        ("camera", where.not_cameras, "NOT IN"),
        ("track", where.tracks, "IN"),
    ):
        if wanted:
            parts.append(f"{column} {name} (SELECT value FROM json_each(?))")
            values.append(json.dumps(wanted))
    for sql, value in (("modality = ?", where.modality), ("time >= ?", where.since), ("time < ?", where.until)):
        if value is not None:
            parts.append(sql)
            values.append(value)
    return " AND ".join(parts), values
