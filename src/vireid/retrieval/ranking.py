"""The ranking: the one object that metrics, pictures and search read.

A ranking knows how similar every gallery row is to every query and hands that out block by block, so the full
(queries, gallery) matrix exists only where somebody brings one. Its order is by falling similarity; equal
similarities rank in gallery order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vireid.types import VireidError

BLOCK_VALUES = 1 << 22
"""Similarity values held at a time unless the caller says otherwise (float32: 16 MiB)."""
_CHUNK = 256
"""Rows scaled at a time: few enough to stay in the cache between measuring and dividing."""


@dataclass(frozen=True)
class Neighbours:
    """The best gallery rows of each query, best first.

    Shapes: ``rows`` (queries, k) int64 gallery rows; ``similarities`` (queries, k) floating point, -inf where
    fewer than k gallery rows were allowed. ``method`` says who answered (``exact`` or the name of an approximate index)
    and ``recall`` which share of the exact answer it found on the first ``sample`` queries (1 for ``exact``).
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
        """Who answered and how well, e.g. ``exact`` or ``faiss, recall 0.97 on 32 queries``."""
        return f"{self.method}, recall {self.recall:.2f} on {self.sample} queries" if self.sample else self.method


class Ranking(ABC):
    """Similarities of ``queries`` query rows to ``gallery`` gallery rows; ``method`` names how they were made."""

    method: str
    queries: int
    gallery: int

    @abstractmethod
    def block(self, start: int, stop: int) -> Tensor:
        """Return the similarities of queries start..stop, (stop - start, gallery), in a tensor of the caller's own."""

    def blocks(self, values: int = BLOCK_VALUES) -> Iterator[tuple[slice, Tensor]]:
        """Yield (query rows, their similarities) in order, at most ``values`` values (but one query) at a time."""
        step = max(1, values // max(1, self.gallery))
        for start in range(0, self.queries, step):
            stop = min(start + step, self.queries)
            yield slice(start, stop), self.block(start, stop)

    def top(self, k: int) -> Neighbours:
        """Return the k best gallery rows of each query (all of them where the gallery is smaller)."""
        found = [stable_topk(similarity, min(k, self.gallery)) for _, similarity in self.blocks()]
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
        self.queries, self.gallery = len(query), len(gallery)

    def block(self, start: int, stop: int) -> Tensor:
        return self._query[start:stop] @ self._gallery.T


class MatrixRanking(Ranking):
    """Ranking by a (queries, gallery) floating-point matrix of similarities that already exists."""

    def __init__(self, similarity: Tensor, method: str = "matrix") -> None:
        if similarity.ndim != 2 or not similarity.is_floating_point() or not bool(torch.isfinite(similarity).all()):
            raise VireidError("similarity: expected a floating-point (queries, gallery) matrix without NaN or infinity")
        if 0 in similarity.shape:
            raise VireidError(f"similarity: nothing to rank in a matrix of shape {tuple(similarity.shape)}")
        self._similarity, self.method = similarity, method
        self.queries, self.gallery = similarity.shape

    def block(self, start: int, stop: int) -> Tensor:
        # At least float32: lower precision cannot count the images ahead of a match.
        return self._similarity[start:stop].to(torch.promote_types(self._similarity.dtype, torch.float32), copy=True)


def unit_rows(embeddings: Tensor, name: str, *, first: int = 0, out: Tensor | None = None) -> Tensor:
    """Return the rows scaled to length 1, after checking that each of them has a direction.

    Args:
        embeddings: (n, d) floating point, n and d at least 1.
        name: what the error messages call them.
        first: number of the first row, for the messages, where the rows are a block of more.
        out: (n, d) tensor to fill, in its type; by default a new one in float32.

    Raises:
        VireidError: wrong shape or type, no rows, NaN or infinite values, an all-zero row (it has no cosine).
    """
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        shape, kind = tuple(embeddings.shape), str(embeddings.dtype).removeprefix("torch.")
        raise VireidError(f"{name}: expected floating-point embeddings of shape (n, d), got {kind} of shape {shape}")
    if 0 in embeddings.shape:
        raise VireidError(f"{name}: no embeddings (shape {tuple(embeddings.shape)}); at least one is needed")
    out = torch.empty(embeddings.shape, device=embeddings.device) if out is None else out
    wide = torch.promote_types(embeddings.dtype, out.dtype)
    for start in range(0, len(embeddings), _CHUNK):
        part = slice(start, start + _CHUNK)
        out[part] = _unit(embeddings[part], name, wide, first + start)
    return out


def _unit(rows: Tensor, name: str, dtype: torch.dtype, first: int) -> Tensor:
    """`unit_rows` of rows that start at row number ``first`` of the whole."""
    length: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=dtype)
    if bool(((length > 1e-15) & (length < 1e15)).all()):
        return rows / length
    # Some squares may have left the range of the type: scaled by the largest value they do not.
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

    `torch.topk` picks any of several equal entries; rows where the cut falls between equals are sorted in
    full.

    Args:
        similarity: (n, m) with 1 <= k <= m.

    Returns:
        (n, k) int64 columns and (n, k) values, both best first.
    """
    width = similarity.shape[1]
    # One entry more than asked for shows whether the cut falls between equals.
    values, columns = similarity.topk(min(k + 1, width), dim=1)
    cut = values[:, k - 1] == values[:, k] if k < width else None
    columns, by_column = columns[:, :k].sort(dim=1)
    values, by_value = values[:, :k].gather(1, by_column).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, by_value)
    if cut is not None and bool(cut.any()):
        full, order = similarity[cut].sort(dim=1, descending=True, stable=True)
        values[cut], columns[cut] = full[:, :k], order[:, :k]
    return columns, values
