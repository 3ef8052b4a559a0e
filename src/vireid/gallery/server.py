"""A gallery on a Milvus server or cluster: many processes at once, hundreds of thousands of images."""

from __future__ import annotations

import base64
import json
import re
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vireid.deploy.embedder import Vectors
from vireid.gallery.format import StoreSettings, check_images, gallery_info, read_settings
from vireid.gallery.journal import unknown
from vireid.gallery.milvus import NO_TIME, TIMEOUT, entry_fields, entry_values, expression, told
from vireid.gallery.query import answer, one_person, require_restriction
from vireid.gallery.records import EVERYTHING, MAX_NAME, Entry, GalleryInfo, Match, NewImage, Where
from vireid.types import Modality, VireidError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

INDEX: dict[str, Any] = {"index_type": "HNSW", "metric_type": "IP", "params": {"M": 8, "efConstruction": 64}}
EF, EF_FILTERED = 192, 256
"""Candidates that a search keeps per segment, at least as many as it returns. A filter hides some of them."""
_PAGE = 1000
_PATIENCE = 120.0
"""Timeout in seconds of a call that adds images, because the server may be indexing earlier ones."""
_HANDOVER = 10.0
"""Seconds that a segment may take to move between nodes, or from growing to sealed."""
_WRITE = 64
"""Images in one message: 1.3 MiB of float32 vectors of 4,096 dimensions with their thumbnails."""
_CHECKED = 256
"""Images read completely at a time: at most 20 MB with vectors of 4,096 dimensions."""
_ENTRY = ["id", "name", "modality", "camera", "time", "track"]


class ServerGallery:
    """`Gallery` in one collection. What the server has acknowledged is in its log, which survives the server.

    Listing, `known` and removing see every write acknowledged to any client; for this the server waits until its next
    time tick (measured 0.2 to 0.4 s). Other calls see this process's writes at once and those of others after the tick.
    """

    def __init__(self, client: MilvusClient, place: str, collection: str) -> None:
        """Open a collection that `create` has made.

        Raises:
            VireidError: no such collection, not a gallery, or of a newer version.
        """
        self._client, self._place, self._name = client, place, collection
        with told(place):
            self._settings = read_settings(_described(client, collection, place), place)
            client.load_collection(collection, timeout=600)
        self._summary: tuple[int, list[tuple[int, str, int, float | None, float | None]]] | None = None

    @property
    def settings(self) -> StoreSettings:
        return self._settings

    @staticmethod
    def create(client: MilvusClient, place: str, collection: str, settings: StoreSettings) -> StoreSettings:
        """Create the collection with its index and return its settings.

        Vectors are float32, with a warning, if the server is too old for float16.
        """
        from pymilvus import DataType

        with told(place):
            version = client.get_server_version()
            if settings.dtype == "float16" and not _stores_half(version):
                warnings.warn(f"{place}: Milvus {version} cannot index float16; vectors are float32", stacklevel=2)
                settings = settings.model_copy(update={"dtype": "float32"})
            schema = client.create_schema(
                auto_id=False, enable_dynamic_field=False, description=json.dumps({"vireid": settings.model_dump()})
            )
            schema.add_field("id", DataType.VARCHAR, max_length=64, is_primary=True)
            schema.add_field("name", DataType.VARCHAR, max_length=MAX_NAME)
            entry_fields(schema)
            schema.add_field("thumbnail", DataType.VARCHAR, max_length=65_535)
            kind = DataType.FLOAT16_VECTOR if settings.dtype == "float16" else DataType.FLOAT_VECTOR
            schema.add_field("vector", kind, dim=settings.dimension)
            index = client.prepare_index_params()
            index.add_index("vector", **INDEX)
            client.create_collection(
                collection, schema=schema, index_params=index, consistency_level="Strong", timeout=TIMEOUT
            )
        return settings

    def _read(self, call: Callable[..., Any], timeout: float | None = None, **options: Any) -> Any:
        """Query or search, and retry for some seconds while a segment is handed from one node to another."""
        from pymilvus.exceptions import MilvusException

        deadline = time.monotonic() + _HANDOVER
        with told(self._place):
            while True:
                try:
                    return call(self._name, timeout=timeout or TIMEOUT, **options)
                except MilvusException as error:
                    if "not loaded" not in str(error) or time.monotonic() > deadline:
                        raise
                time.sleep(0.2)

    def info(self) -> GalleryInfo:
        return gallery_info(self._settings, self._groups())

    def _groups(self) -> list[tuple[int, str, int, float | None, float | None]]:
        """Count by modality and camera; reread all entries only if their number has changed."""
        rows = self._read(self._client.query, filter="", output_fields=["count(*)"])
        count = int(rows[0]["count(*)"])
        if self._summary is None or self._summary[0] != count:
            groups: dict[tuple[int, str], list[float | None]] = {}
            for row in self._pages(Where(), ["id", "modality", "camera", "time"]):
                when = None if row["time"] == NO_TIME else float(row["time"])
                groups.setdefault((row["modality"], row["camera"]), []).append(when)
            self._summary = (count, [_group(key, times) for key, times in groups.items()])
        return self._summary[1]

    def known(self, ids: Sequence[str]) -> set[str]:
        return {row["id"] for row in self._of_ids(ids, ["id"], level="Strong", timeout=_PATIENCE)}

    def add(self, images: Iterable[NewImage]) -> int:
        new = {image.entry.id: image for image in images}
        check_images(list(new.values()), self._settings)
        for row in self._of_ids(list(new), ["id"], timeout=_PATIENCE):
            del new[row["id"]]
        rows = [self._row(image) for image in new.values()]
        for start in range(0, len(rows), _WRITE):
            with told(self._place):  # upsert: another process may be adding the same image
                self._client.upsert(self._name, rows[start : start + _WRITE], timeout=_PATIENCE)
        self._summary = None
        return len(rows)

    def _row(self, image: NewImage) -> dict[str, Any]:
        return {
            "id": image.entry.id,
            "name": image.entry.name,
            "thumbnail": base64.b64encode(image.thumbnail).decode("ascii"),
            "vector": image.vector.astype(self._settings.dtype),
        } | entry_values(image.entry)

    def search(self, query: Vectors, top: int, where: Where = EVERYTHING, rerank: bool = False) -> list[Match]:
        person = one_person(query, self._settings.dimension, top)
        parts = [expression(where), f"id in {json.dumps(where.ids)}" if where.ids else ""]
        effort = EF if where == EVERYTHING else EF_FILTERED

        def find(number: int) -> list[Match]:
            found = self._read(
                self._client.search,
                data=[person.astype(self._settings.dtype)],
                limit=number,
                filter=" and ".join(part for part in parts if part),
                output_fields=_ENTRY,
                search_params={"metric_type": "IP", "params": {"ef": max(effort, number)}},
                consistency_level="Session",
            )
            return [Match(_entry(hit["entity"] | {"id": hit["id"]}), float(hit["distance"])) for hit in found[0]]

        return answer(find, self.vectors, person, top, rerank)

    def entries(self, where: Where = EVERYTHING, limit: int | None = None, after: str = "") -> list[Entry]:
        return [_entry(row) for row in self._pages(where, _ENTRY, limit, after)]

    def _pages(
        self, where: Where, fields: list[str], limit: int | None = None, after: str = ""
    ) -> list[dict[str, Any]]:
        """Read rows sorted by id, page by page."""
        if where.ids:
            ids = sorted(id for id in where.ids if id > after)
            return self._of_ids(ids, fields, expression(where), level="Strong")[:limit]
        found: list[dict[str, Any]] = []
        level = "Strong"
        while limit is None or len(found) < limit:
            want = _PAGE if limit is None else min(_PAGE, limit - len(found))
            parts = [f'id > "{after}"', expression(where)]
            rows = self._read(
                self._client.query,
                filter=" and ".join(part for part in parts if part),
                output_fields=fields,
                limit=want,
                consistency_level=level,
            )
            level = "Eventually"  # the first page has waited for all
            found += sorted(rows, key=lambda row: str(row["id"]))
            if len(rows) < want:
                break
            after = found[-1]["id"]
        return found

    def _of_ids(
        self,
        ids: Sequence[str],
        fields: list[str],
        restriction: str = "",
        level: str = "Session",
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for start in range(0, len(ids), _PAGE):
            parts = [f"id in {json.dumps(list(ids[start : start + _PAGE]))}", restriction]
            text = " and ".join(part for part in parts if part)
            found += self._read(self._client.query, timeout, filter=text, output_fields=fields, consistency_level=level)
        return sorted(found, key=lambda row: str(row["id"]))

    def vectors(self, ids: Sequence[str]) -> Vectors:
        found = {row["id"]: self._vector(row["vector"]) for row in self._of_ids(ids, ["id", "vector"])}
        for id in ids:
            if id not in found:
                raise unknown(id)
        return np.stack([found[id] for id in ids]) if len(ids) else np.empty((0, self._settings.dimension), np.float32)

    def _vector(self, value: Any) -> Vectors:
        if self._settings.dtype == "float16":
            return np.frombuffer(value[0], np.float16).astype(np.float32)
        return np.asarray(value, np.float32)

    def thumbnail(self, id: str) -> bytes:
        found = self._of_ids([id], ["thumbnail"])
        if not found:
            raise unknown(id)
        return base64.b64decode(found[0]["thumbnail"])

    def remove(self, where: Where) -> int:
        require_restriction(where)
        ids = [row["id"] for row in self._pages(where, ["id"])]
        for start in range(0, len(ids), _PAGE):
            with told(self._place):
                self._client.delete(self._name, ids=ids[start : start + _PAGE], timeout=TIMEOUT)
        self._summary = None
        if ids:
            self._compact()
        return len(ids)

    def problems(self) -> list[str]:
        """Read the whole collection and return what is damaged, one line each."""
        found = []
        ids = [str(row["id"]) for row in self._pages(Where(), ["id"])]
        for start in range(0, len(ids), _CHECKED):
            for row in self._of_ids(ids[start : start + _CHECKED], [*_ENTRY, "vector", "thumbnail"]):
                try:
                    thumbnail = base64.b64decode(row["thumbnail"], validate=True)
                    check_images([NewImage(_entry(row), self._vector(row["vector"]), thumbnail)], self._settings)
                except ValueError as error:
                    found.append(f"{self._place}: image {row['id']}: {error}; remove it and add it again")
        return found

    def compact(self) -> None:
        """Make the server rewrite its segments without the deleted images, and wait until it has."""
        job, deadline = self._compact(), time.monotonic() + 600
        with told(self._place):
            while self._client.get_compaction_state(job, timeout=TIMEOUT) != "Completed":
                if time.monotonic() > deadline:
                    raise VireidError(f"{self._place}: still compacting after ten minutes; check the server")
                time.sleep(0.5)

    def _compact(self) -> int:
        with told(self._place):
            self._client.flush(self._name, timeout=120)
            return int(self._client.compact(self._name, timeout=TIMEOUT))

    def close(self) -> None:
        self._client.close()


def _described(client: MilvusClient, collection: str, place: str) -> Any:
    """Return what `ServerGallery.create` wrote into the collection's description."""
    if not client.has_collection(collection, timeout=TIMEOUT):
        raise VireidError(
            f"{place}: no gallery {collection}; create it with `vireid gallery add STORE IMAGES --model RUN`"
        )
    try:
        return json.loads(client.describe_collection(collection, timeout=TIMEOUT)["description"])["vireid"]
    except (ValueError, KeyError, TypeError):
        raise VireidError(f"{place}: the collection {collection} is not a vireid gallery; name another") from None


def _stores_half(version: str) -> bool:
    """Whether the server can index float16: Milvus 2.3 accepts such vectors and crashes when it indexes them."""
    numbers = re.findall(r"\d+", version)[:2]
    return tuple(map(int, numbers)) >= (2, 4)


def _entry(row: dict[str, Any]) -> Entry:
    when = None if row["time"] == NO_TIME else float(row["time"])
    return Entry(row["id"], row["name"], Modality(row["modality"]), row["camera"], when, row["track"] or None)


def _group(key: tuple[int, str], times: list[float | None]) -> tuple[int, str, int, float | None, float | None]:
    known = [moment for moment in times if moment is not None]
    return (*key, len(times), min(known, default=None), max(known, default=None))
