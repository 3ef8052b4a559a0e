"""The service's access to model and gallery, which both run outside the event loop."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from vireid.deploy.embedder import Embedder, Vectors
from vireid.gallery.pictures import prepare
from vireid.gallery.query import search_groups
from vireid.gallery.records import Entry, Gallery, GalleryInfo, Match, NewImage, Where
from vireid.images import Pixels
from vireid.machine import usable_cores
from vireid.service.batching import Batcher
from vireid.service.limits import Gate, Limits, Refusal, Upload, check_picture
from vireid.service.metrics import Metrics
from vireid.types import Modality, VireidError

log = logging.getLogger("vireid.service")

Answer = TypeVar("Answer")
Task = tuple[Literal["embed", "response"], Modality]

_READERS = 4
_THUMBNAILS = 4096
_INFO_SECONDS = 2.0


@dataclass(frozen=True)
class Picture:
    """A decoded upload: content hash, network input (height, width, 3), JPEG thumbnail."""

    name: str
    id: str
    pixels: Pixels = field(repr=False)
    thumbnail: bytes = field(repr=False)


class Engine:
    """Model and gallery for the routes. Methods raise `Refusal` 503 with one line if the gallery fails.

    The gallery is read from several threads at a time and written from one.

    Raises:
        VireidError: the gallery holds vectors of another model.
    """

    def __init__(self, gallery: Gallery, embedder: Embedder, limits: Limits) -> None:
        self.gallery, self.embedder, self.limits = gallery, embedder, limits
        info = gallery.info()
        if (info.fingerprint, info.dimension) != (embedder.fingerprint, embedder.dimension):
            raise VireidError(
                f"model {embedder.name}: the gallery holds vectors of {info.model}; give --model the one that filled it"
            )
        self._model: Batcher[Task, Pixels, Vectors] = Batcher(self._pass, limits.images, "model")
        self.gate = Gate(limits.queue, lambda: self._model.delay)
        self.metrics = Metrics(lambda: self.gate.inside, lambda: len(self._model))
        self._readers = ThreadPoolExecutor(_READERS, "gallery")
        self._writer = ThreadPoolExecutor(1, "gallery-writer")
        self._pictures = ThreadPoolExecutor(usable_cores(), "pictures")
        self._thumbnails: dict[str, bytes] = {}
        self._info: tuple[float, GalleryInfo] | None = None
        self.heatmaps = embedder.responds
        embedder.embed(np.zeros((1, embedder.height, embedder.width, 3), np.uint8), Modality.VISIBLE)  # warms it up

    def close(self) -> None:
        """Wait for running work; the gallery stays open, because it belongs to the caller."""
        for pool in (self._readers, self._writer, self._pictures):
            pool.shutdown(cancel_futures=True)  # their callers have gone
        self._model.close()

    async def read(self, uploads: Iterable[Upload]) -> list[Picture | Refusal]:
        """Decode uploads; for one that cannot be read, return the refusal in its place."""
        return await asyncio.gather(*(self.aside(partial(self._decode, one)) for one in uploads))

    async def embed(self, pictures: Sequence[Picture], modality: Modality) -> Vectors:
        """Return features (n, dimension), computed in one batch with other waiting images."""
        rows = await self._model.submit_all(("embed", modality), [picture.pixels for picture in pictures])
        return np.stack(rows) if rows else np.empty((0, self.embedder.dimension), np.float32)

    async def heat(self, pixels: Sequence[Pixels], modality: Modality) -> list[bytes]:
        """Return each network input as a PNG with the response overlaid.

        Raises:
            Refusal: 409 if the model has no response maps.
        """
        if not self.heatmaps:
            raise Refusal(409, "heatmaps: this model has no response maps; serve the run itself")
        maps = await self._model.submit_all(("response", modality), pixels)
        return await self.aside(lambda: _overlays(np.stack(pixels), maps))

    async def heat_of(self, id: str) -> bytes:
        """Return the heat map of an entry's thumbnail; raise `Refusal` 404 for an unknown id."""
        entry = await self.entry(id)
        thumbnail = Upload("thumbnail", await self.thumbnail(id))
        picture = (await self.read([thumbnail]))[0]
        if isinstance(picture, Refusal):
            raise picture
        return (await self.heat([picture.pixels], entry.modality))[0]

    async def entry(self, id: str) -> Entry:
        found = await self.entries(Where(ids=(id,)), 1, "")
        if not found:
            raise Refusal(404, f"image {id}: not in the gallery")
        return found[0]

    async def info(self) -> GalleryInfo:
        """Return information about the gallery, at most two seconds old."""
        if self._info is None or monotonic() - self._info[0] > _INFO_SECONDS:
            self._info = monotonic(), await self._ask(self._readers, self.gallery.info)
        return self._info[1]

    async def search(
        self, query: Vectors, top: int, where: Where, rerank: bool, tracks: bool, unwanted: set[str]
    ) -> list[list[Match]]:
        """Return groups of matches, as `search_groups` does."""
        question = partial(search_groups, self.gallery, query, top, where, rerank, tracks, unwanted)
        return await self._ask(self._readers, question)

    async def entries(self, where: Where, limit: int, after: str) -> list[Entry]:
        return await self._ask(self._readers, self.gallery.entries, where, limit, after)

    async def known(self, ids: Sequence[str]) -> set[str]:
        return await self._ask(self._readers, self.gallery.known, ids)

    async def vectors(self, ids: Sequence[str]) -> Vectors:
        """Return the vectors of entries; raise `Refusal` 404 for an unknown id."""
        if unknown := sorted(set(ids) - await self.known(ids)):
            raise Refusal(404, f"image {unknown[0]}: not in the gallery (one of {len(unknown)})")
        return await self._ask(self._readers, self.gallery.vectors, ids)

    async def thumbnail(self, id: str) -> bytes:
        """Return the JPEG of an entry; for ids that the gallery has just returned."""
        if id in self._thumbnails:
            return self._thumbnails[id]
        kept = self._thumbnails
        kept[id] = thumbnail = await self._ask(self._readers, self.gallery.thumbnail, id)
        if len(kept) > _THUMBNAILS:
            del kept[next(iter(kept))]
        return thumbnail

    async def add(self, images: Sequence[NewImage]) -> int:
        added = await self._ask(self._writer, self.gallery.add, images)
        self._info = None
        self.metrics.added.inc(added)
        return added

    async def remove(self, where: Where) -> int:
        removed = await self._ask(self._writer, self.gallery.remove, where)
        self._info = None
        self._thumbnails = {}  # a new dict, because reads still running would put removed thumbnails back
        self.metrics.removed.inc(removed)
        return removed

    async def aside(self, work: Callable[[], Answer]) -> Answer:
        """Run processor-bound work, such as decoding, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pictures, work)

    async def _ask(self, pool: Executor, question: Callable[..., Answer], *arguments: object) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, partial(question, *arguments))
        except VireidError as error:
            log.error("gallery: %s", error)
        except Exception:
            log.exception("gallery failed")
        raise Refusal(503, "gallery: cannot answer now; try again later, the service's log says why")

    def _decode(self, upload: Upload) -> Picture | Refusal:
        try:
            check_picture(upload, self.limits)
            pixels, thumbnail, id = prepare(upload.data, upload.name, self.embedder)
        except Refusal as refusal:
            return refusal
        except VireidError as error:
            return Refusal(422, str(error))
        return Picture(upload.name, id, pixels, thumbnail)

    def _pass(self, task: Task, images: list[Pixels]) -> Sequence[Vectors]:
        """Pass one batch through the model; row i belongs to image i."""
        kind, modality = task
        self.metrics.batch.observe(len(images))
        run = self.embedder.embed if kind == "embed" else self.embedder.response
        return list(run(np.stack(images), modality))


def _overlays(pixels: Pixels, maps: Sequence[Vectors]) -> list[bytes]:
    import torch

    from vireid.figures.heatmaps import overlay

    pictures = []
    for picture in overlay(pixels, torch.from_numpy(np.stack(maps))):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    return pictures
