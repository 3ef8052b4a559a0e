"""The Milvus Lite index of a gallery in a folder: built from the journal, and rebuilt whenever the two differ."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vireid.deploy.embedder import Vectors
from vireid.gallery.journal import BLOCK, Journal
from vireid.gallery.milvus import connect, entry_fields, entry_values, expression, told
from vireid.gallery.records import Where
from vireid.types import VireidError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

_NAME = "images"
_ROWS = 256
"""Rows inserted at a time: 4 MiB of vectors of 4,096 dimensions."""


class FolderIndex:
    """Exact search for row numbers by vector: without an index of its own, Milvus Lite compares every vector.

    The rows of each `BLOCK` form one partition. Milvus Lite only marks a deleted row and keeps its bytes; dropping a
    partition deletes its files, so a removal drops the affected partitions and refills them.
    """

    def __init__(self, path: Path, journal: Journal, dimension: int) -> None:
        """Open the index and update it from the journal; one that does not open is rebuilt."""
        self._path, self._journal, self._dimension = path, journal, dimension
        self._lock = threading.RLock()
        self._upto = 0
        self._torn: set[int] = set()
        self._removals = 0
        try:
            self._client = self._open()
        except Exception:  # whatever the damage, it does not matter: the journal has everything
            self._release()
            shutil.rmtree(path, ignore_errors=True)
            self._client = self._open()

    def _open(self) -> MilvusClient:
        client = self._client = connect(str(self._path))
        with self._told():
            if not client.has_collection(_NAME):
                self._create(client)
            client.load_collection(_NAME)
        self.catch_up()
        return client

    def _create(self, client: MilvusClient) -> None:
        from pymilvus import DataType

        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("seq", DataType.INT64, is_primary=True)
        entry_fields(schema)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dimension)
        client.create_collection(_NAME, schema=schema)

    def _told(self) -> AbstractContextManager[None]:
        return told(str(self._path), "check the disk and try again, or rebuild the index with `vireid gallery compact`")

    def catch_up(self) -> None:
        """Refill every block whose number of rows differs from the journal's."""
        with self._lock, self._told():
            wanted = self._journal.blocks()
            held = {name: self._held(name) for name in self._client.list_partitions(_NAME) if name != "_default"}
            for name in held.keys() - {_partition(block) for block in wanted}:
                self._client.drop_partition(_NAME, name)
            self._torn = {block for block, rows in wanted.items() if held.get(_partition(block)) != rows}
            self._upto = self._journal.last()
            self.follow()

    def _held(self, partition: str) -> int:
        return int(self._client.get_partition_stats(_NAME, partition)["row_count"])

    @contextmanager
    def without(self, blocks: set[int]) -> Iterator[None]:
        """Drop blocks, with their files, while some of their rows are deleted from the journal; then refill them.

        The files are deleted before the journal's rows, so that a process that ends at any point leaves no unaccounted
        bytes. Searches wait meanwhile.
        """
        with self._lock, self._told():
            self._removals += 1
            try:
                for block in blocks:
                    self._torn.add(block)
                    self._drop(block)
                yield
            finally:
                self.follow()

    def follow(self) -> None:
        """Refill torn blocks, and insert the rows that the journal has gained since the last call."""
        with self._lock, self._told():
            last = self._journal.last()
            for block in sorted(self._torn):
                self._drop(block)
                self._fill(block, block * BLOCK, last)
            while self._upto < last:
                block = (self._upto + 1) // BLOCK
                self._torn.add(block)  # until it is complete: a failed insert may have left some of its rows
                self._fill(block, self._upto + 1, last)

    def _drop(self, block: int) -> None:
        if self._client.has_partition(_NAME, _partition(block)):
            self._client.drop_partition(_NAME, _partition(block))

    def _fill(self, block: int, start: int, last: int) -> None:
        """Insert the block's rows from ``start`` to ``last``; afterwards the block matches the journal."""
        end = min(last, (block + 1) * BLOCK - 1)
        while rows := self._journal.since(start, end + 1, _ROWS):
            if not self._client.has_partition(_NAME, _partition(block)):
                self._client.create_partition(_NAME, _partition(block))
            data = [{"seq": seq, "vector": vector} | entry_values(entry) for seq, entry, vector in rows]
            self._client.insert(_NAME, data, partition_name=_partition(block))
            start = rows[-1][0] + 1
        self._upto = max(self._upto, end)
        self._torn.discard(block)

    def search(self, query: Vectors, top: int, where: Where) -> list[tuple[int, float]]:
        """Return (row number, cosine) of the best ``top`` rows, best first; ``query`` (d,) has length 1."""
        with self._lock:  # held by a removal from start to end
            self.follow()
            removals = self._removals
        try:
            found = self._find(query, top, where)
            if removals == self._removals:
                return found
        except VireidError:
            if removals == self._removals:
                raise
        with self._lock:  # blocks were dropped during the search: search again while none can be
            self.follow()
            return self._find(query, top, where)

    def _find(self, query: Vectors, top: int, where: Where) -> list[tuple[int, float]]:
        parts = [expression(where)]
        if where.ids:
            parts.append(f"seq in {self._journal.seqs(Where(ids=where.ids))}")
        with self._told():
            found = self._client.search(
                _NAME,
                data=[query.tolist()],
                limit=top,
                filter=" and ".join(part for part in parts if part),
                search_params={"metric_type": "IP"},
                anns_field="vector",
            )
        return [(int(hit["seq"]), float(hit["distance"])) for hit in found[0]]

    def problems(self) -> list[str]:
        """Report how many rows are only in the index or only in the journal."""
        self.follow()
        differing = set(self._journal.seqs(Where()))
        with self._told():
            for name in self._client.list_partitions(_NAME):
                rows = self._client.query(_NAME, filter="seq >= 0", output_fields=["seq"], partition_names=[name])
                differing ^= {row["seq"] for row in rows}
        if not differing:
            return []
        return [f"{self._path}: {len(differing)} rows differ from the journal; `vireid gallery compact` rebuilds it"]

    def close(self) -> None:
        with self._lock:
            self._client.close()
            self._release()

    def delete(self) -> None:
        """Close the index and delete its files."""
        self.close()
        shutil.rmtree(self._path, ignore_errors=True)

    def _release(self) -> None:
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(str(self._path))


def _partition(block: int) -> str:
    return f"block{block}"
