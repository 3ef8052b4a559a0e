"""Rankings: the object that metrics, pictures and search read.

A ranking gives the similarity of every gallery row to every query block by block, so the full (queries, gallery)
matrix exists only if the caller provides one. Rows are ordered by decreasing similarity; equal similarities rank in
gallery order.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from vireid.types import VireidError

Item = TypeVar("Item")
Found = TypeVar("Found")
BLOCK_VALUES = 1 << 22
"""Similarity values held at a time unless the caller says otherwise (float32: 16 MiB)."""
_CHUNK = 256
"""Rows scaled at a time: few enough to stay in the cache between taking the norm and dividing."""
_THIN = 32
"""Queries below which a block is not worth its own thread, because it reads the whole gallery."""
_FOLDS = 8
"""Columns in a group, which its best represents in the first round of `stable_topk`."""


@dataclass(frozen=True)
class Neighbours:
    """The best gallery rows of each query, best first.

    Shapes: ``rows`` (queries, k) int64 gallery rows; ``similarities`` (queries, k) floating point, -inf where
    fewer than k gallery rows were allowed. ``method`` says who answered (``exact`` or the name of an approximate index)
    and ``recall`` which share of the exact answer it found on the first ``sample`` queries (1 for ``exact``).

    Examples:
        >>> import torch, vireid
        >>> found = vireid.nearest(torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 2], [3, 0], [4, 3]]), k=2)
        >>> found.similarities
        tensor([[1.0000, 0.8000]])
        >>> found.answered_by
        'exact'
    """

    rows: Tensor
    similarities: Tensor
    method: str = "exact"
    recall: float = 1.0
    sample: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def answered_by(self) -> str:
        """The index and its recall, e.g. ``exact`` or ``faiss, recall 0.97 on 32 queries``."""
        return f"{self.method}, recall {self.recall:.2f} on {self.sample} queries" if self.sample else self.method


class Ranking(ABC):
    """Similarities of ``queries`` query rows to ``gallery`` gallery rows; ``method`` names how they were made.

    A similarity of your own becomes one by `vireid.retrieval.MatrixRanking`, or by a class with the method `block`.

    Examples:
        >>> import torch
        >>> from vireid.retrieval import MatrixRanking
        >>> ranking = MatrixRanking(torch.tensor([[0.2, 0.9, 0.4]]), method="my own")
        >>> ranking.top(2).rows
        tensor([[1, 2]])
    """

    method: str
    queries: int
    gallery: int
    device: torch.device

    @abstractmethod
    def block(self, start: int, stop: int) -> Tensor:
        """Return the similarities of queries start..stop, (stop - start, gallery), in a tensor that the caller owns.

        Several threads may call it at once.
        """

    def blocks(self, values: int = BLOCK_VALUES) -> Iterator[tuple[slice, Tensor]]:
        """Yield (query rows, their similarities) in order, at most ``values`` values (at least one query) at a time."""
        step = max(1, values // max(1, self.gallery))
        for start in range(0, self.queries, step):
            stop = min(start + step, self.queries)
            yield slice(start, stop), self.block(start, stop)

    def map(self, work: Callable[[slice, Tensor], Found], values: int = BLOCK_VALUES) -> list[Found]:
        """Return the result of ``work`` on each of the `blocks`, in order; on a CPU every core works on its own block.

        The blocks held at a time have at most ``values`` values in total (but at least one query).
        """
        rows = max(1, values // max(1, self.gallery))
        workers = min(torch.get_num_threads(), max(1, rows // _THIN)) if self.device.type == "cpu" else 1
        step = min(rows // workers, math.ceil(self.queries / workers))
        starts = range(0, self.queries, step)

        def one(start: int) -> Found:
            stop = min(start + step, self.queries)
            return work(slice(start, stop), self.block(start, stop))

        return spread(one, starts, workers)

    def top(self, k: int) -> Neighbours:
        """Return the k best gallery rows of each query (all rows, with a warning, if the gallery is smaller)."""
        count = limited(k, self.gallery)
        found = self.map(lambda _, similarity: stable_topk(similarity, count))
        return Neighbours(torch.cat([rows for rows, _ in found]), torch.cat([values for _, values in found]))


class CosineRanking(Ranking):
    """Ranking by cosine similarity of (queries, d) and (gallery, d) embeddings, multiplied in float32."""

    method = "cosine"

    def __init__(self, query: Tensor, gallery: Tensor) -> None:
        """Raise `VireidError` for embeddings that have no cosine (see `unit_rows`) or differ in dimension."""
        self._query, self._gallery = unit_rows(query, "query"), unit_rows(gallery, "gallery")
        if self._query.shape[1] != self._gallery.shape[1]:
            raise VireidError(
                f"query embeddings have {self._query.shape[1]} dimensions, gallery embeddings "
                f"{self._gallery.shape[1]}: they must come from the same model"
            )
        self.queries, self.gallery, self.device = len(query), len(gallery), query.device

    def block(self, start: int, stop: int) -> Tensor:
        return self._query[start:stop] @ self._gallery.T


class MatrixRanking(Ranking):
    """Ranking by a (queries, gallery) floating-point matrix of similarities that already exists."""

    def __init__(self, similarity: Tensor, method: str = "matrix") -> None:
        wanted = "similarity: expected a floating-point (queries, gallery) tensor without NaN or infinity"
        if not isinstance(similarity, Tensor) or similarity.ndim != 2 or not similarity.is_floating_point():
            raise VireidError(wanted)
        if 0 in similarity.shape:
            raise VireidError(f"similarity: nothing to rank in a matrix of shape {tuple(similarity.shape)}")
        if not bool(torch.stack(similarity.aminmax()).isfinite().all()):
            raise VireidError(wanted)
        self._similarity, self.method = similarity, method
        self.queries, self.gallery = similarity.shape
        self.device = similarity.device

    def block(self, start: int, stop: int) -> Tensor:
        # At least float32: lower precision cannot count the images ahead of a match.
        return self._similarity[start:stop].to(torch.promote_types(self._similarity.dtype, torch.float32), copy=True)


def spread(work: Callable[[Item], Found], items: Sequence[Item], workers: int) -> list[Found]:
    """Return the results of ``work`` on all items, ``workers`` at a time, each with its share of PyTorch's threads.

    Threads that share every small operation would wait for one another each time, and for long if another process
    wants a core.
    """
    if min(workers, len(items)) <= 1:
        return [work(item) for item in items]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            workers, initializer=partial(torch.set_num_threads, max(1, threads // workers))
        ) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)


def unit_rows(embeddings: Tensor, name: str, *, first: int = 0, out: Tensor | None = None) -> Tensor:
    """Return the rows scaled to length 1, after checking that each of them has a direction.

    Args:
        embeddings: (n, d) floating point, n and d at least 1.
        name: the name used in error messages.
        first: number of the first row in error messages, if the rows are a block of a larger array.
        out: (n, d) tensor to fill, in its type; by default a new one in float32.

    Raises:
        VireidError: wrong shape or type, no rows, NaN or infinite values, an all-zero row (it has no cosine).
    """
    check_embeddings(embeddings, name)
    out = torch.empty(embeddings.shape, device=embeddings.device) if out is None else out
    wide = torch.promote_types(embeddings.dtype, out.dtype)
    for start in range(0, len(embeddings), _CHUNK):
        part = slice(start, start + _CHUNK)
        out[part] = _unit(embeddings[part], name, wide, first + start)
    return out


def check_embeddings(embeddings: object, name: str) -> None:
    """Raise `VireidError` for anything but a tensor of (n, d) floating-point values, n and d at least 1."""
    if not isinstance(embeddings, Tensor):
        kind = type(embeddings).__name__
        raise VireidError(f"{name}: expected a tensor, got {kind}; convert an array with torch.from_numpy")
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        shape, kind = tuple(embeddings.shape), str(embeddings.dtype).removeprefix("torch.")
        raise VireidError(f"{name}: expected floating-point embeddings of shape (n, d), got {kind} of shape {shape}")
    if 0 in embeddings.shape:
        raise VireidError(f"{name}: no embeddings (shape {tuple(embeddings.shape)}); expected at least one")


def limited(k: int, gallery: int) -> int:
    """Return ``k`` or, with a warning, the size of a smaller gallery; raise `VireidError` for k below 1."""
    if k < 1:
        raise VireidError(f"search: expected k of at least 1, got {k}")
    if k > gallery:
        warnings.warn(f"search: the gallery has {gallery} rows, fewer than the {k} asked for", stacklevel=3)
    return min(k, gallery)


def _unit(rows: Tensor, name: str, dtype: torch.dtype, first: int) -> Tensor:
    """Return `unit_rows` of rows that start at row number ``first`` of the whole."""
    length: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=dtype)
    if bool(((length > 1e-15) & (length < 1e15)).all()):
        return rows / length
    # Some squares may have exceeded the range of the type; scaled by the largest value they do not.
    rows = rows.to(dtype)
    largest = rows.abs().amax(dim=1, keepdim=True)
    for bad, what in ((~torch.isfinite(largest), "holds NaN or infinite values"), (largest == 0, "is all zeros")):
        if bool(bad.any()):
            row = first + int(bad[:, 0].nonzero()[0])
            raise VireidError(f"{name}: row {row} {what} and has no direction; remove the row or extract it again")
    rows = rows / largest
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / length


def stable_topk(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return columns and values of the k largest entries of each row, ties in column order.

    `torch.topk` picks any of several equal entries; rows where the cut falls between equal entries are sorted
    completely.

    Args:
        similarity: (n, m) with 1 <= k <= m.

    Returns:
        (n, k) int64 columns and (n, k) values, both best first.
    """
    width = similarity.shape[1]
    # One entry more than requested shows whether the cut falls between equal entries.
    values, columns = _topk(similarity, min(k + 1, width))
    cut = values[:, k - 1] == values[:, k] if k < width else None
    columns, by_column = columns[:, :k].sort(dim=1)
    values, by_value = values[:, :k].gather(1, by_column).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, by_value)
    if cut is not None and bool(cut.any()):
        full, order = similarity[cut].sort(dim=1, descending=True, stable=True)
        values[cut], columns[cut] = full[:, :k], order[:, :k]
    return columns, values


def _topk(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`Tensor.topk`, in two rounds if rows are long: the k best are in the k groups with the best maxima."""
    width = similarity.shape[1]
    groups = width // _FOLDS
    if k > groups // 4:
        values, columns = similarity.topk(k, dim=1)
        return values, columns
    folded = groups * _FOLDS
    best = similarity[:, :folded].unflatten(1, (_FOLDS, groups)).amax(dim=1).topk(k, dim=1, sorted=False).indices
    folds = torch.arange(0, folded, groups, device=best.device)
    rest = torch.arange(folded, width, device=best.device).expand(len(best), -1)
    columns = torch.cat([(best[:, None] + folds[:, None]).flatten(1), rest], dim=1)
    values, found = similarity.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, found)
