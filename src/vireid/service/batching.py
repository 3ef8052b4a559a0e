"""Batching across requests: images of concurrent requests are embedded together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Key, Item, Result]):
    """Runs ``work(key, items)`` in its own thread on up to ``largest`` items of one key at a time.

    Nothing waits for a batch to fill: items that arrive while a batch is being processed form the next one. The oldest
    item decides which key is next, so no key starves. ``work`` returns one result per item; an exception that it raises
    is raised for every item of the batch. Items whose caller has gone are skipped.
    """

    def __init__(self, work: Callable[[Key, list[Item]], Sequence[Result]], largest: int, name: str) -> None:
        self._work, self._largest = work, largest
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting: list[tuple[Key, Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None
        self._pace = 0.0

    async def submit(self, key: Key, item: Item) -> Result:
        """Return the result of the item once its batch is done."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def submit_all(self, key: Key, items: Sequence[Item]) -> list[Result]:
        """Return the results of the items, in order."""
        return await asyncio.gather(*(self.submit(key, item) for item in items))

    def __len__(self) -> int:
        """Return the number of waiting items."""
        return len(self._waiting)

    @property
    def delay(self) -> float:
        """Seconds that the waiting items will take at the pace of the last batches."""
        return len(self._waiting) * self._pace

    def close(self) -> None:
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._take():
            key, items = batch[0][0], [item for _, item, _ in batch]
            start = monotonic()
            try:
                results = await loop.run_in_executor(self._thread, self._work, key, items)
            except Exception as error:
                for _, _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, _, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        future.set_result(result)
            self._pace += 0.2 * ((monotonic() - start) / len(batch) - self._pace)

    def _take(self) -> list[tuple[Key, Item, asyncio.Future[Result]]]:
        """Take the next batch from the waiting items."""
        self._waiting = [job for job in self._waiting if not job[2].done()]
        if not self._waiting:
            return []
        key = self._waiting[0][0]
        batch = [job for job in self._waiting if job[0] == key][: self._largest]
        taken = {id(job) for job in batch}
        self._waiting = [job for job in self._waiting if id(job) not in taken]
        return batch
