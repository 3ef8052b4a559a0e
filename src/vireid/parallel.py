"""Process a list of images in threads: reading, decoding and hashing release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vireid.machine import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[int, int], None]
"""Called in the caller's thread as ``progress(done, total)`` after every image."""


def in_threads(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Return ``[function(item) for item in items]``, using ``workers`` threads (default: the usable cores).

    The first exception, including one from ``progress``, cancels work that has not begun and is raised.
    """
    results: list[Result] = []
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        for result in pool.map(function, items):
            results.append(result)
            if progress is not None:
                progress(len(results), len(items))
    return results
