"""Exact nearest neighbours by cosine similarity, in blocks: memory depends on the block, not the gallery."""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vireid.retrieval.ranking import (
    BLOCK_VALUES,
    Neighbours,
    check_embeddings,
    limited,
    spread,
    stable_topk,
    unit_rows,
)
from vireid.types import VireidError

Embeddings = Tensor | npt.NDArray[np.floating[Any]]
"""A tensor, or an array that may be a memory-mapped file (`numpy.load` with ``mmap_mode="r"``)."""
_BLOCK = 4096
"""Largest number of gallery rows whose similarities are held at a time."""
_CACHED = 128
"""Gallery rows converted and multiplied at a time on a CPU: few enough to stay in the cache."""
_TILE = 2048
_NEAR_TIE = 2e-6
"""Similarities closer than this are compared again in float64; float32 products of unit vectors err by about 3e-7."""


def nearest(query: Tensor, gallery: Embeddings, k: int) -> Neighbours:
    """Return the k nearest gallery rows of every query, in one pass over the gallery.

    Args:
        query: (queries, d) embeddings; the work is done on their device.
        gallery: (gallery, d) embeddings, float16 or float32; may be a memory-mapped file larger than memory.
            Rows need not have length 1.
        k: number of rows; a smaller gallery is returned completely, with a warning.

    Returns:
        neighbours with (queries, min(k, gallery)) rows, ties in gallery order.

    Raises:
        VireidError: k below 1; either side is empty, of another dimension, or has a row without direction.

    Examples:
        >>> import torch, vireid
        >>> query, gallery = torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 2], [3, 0], [1, 1]])
        >>> vireid.nearest(query, gallery, k=2).rows
        tensor([[1, 2]])
    """
    unit, rows = unit_rows(query, "query").detach(), tensor(gallery).detach()
    check_embeddings(rows, "gallery")
    if unit.shape[1] != rows.shape[1]:
        raise VireidError(
            f"search: query {tuple(unit.shape)} and gallery {tuple(rows.shape)} differ in dimension; "
            "they must come from the same model"
        )
    search = partial(_search, unit, rows, limited(k, len(rows)))
    # On a CPU every thread takes its own part of the gallery.
    parts = max(1, min(torch.get_num_threads(), len(gallery) // _BLOCK)) if unit.device.type == "cpu" else 1
    # Whole blocks, so that products do not depend on the number of threads.
    size = math.ceil(len(gallery) / _BLOCK / parts) * _BLOCK
    found = spread(search, [range(len(gallery))[start : start + size] for start in range(0, len(gallery), size)], parts)
    if len(found) == 1:
        return found[0]
    both = torch.cat([part.similarities for part in found], dim=1)
    # A stable sort keeps the earlier part first among equal rows.
    values, order = (part[:, : found[0].rows.shape[1]] for part in both.sort(dim=1, descending=True, stable=True))
    return Neighbours(torch.cat([part.rows for part in found], dim=1).gather(1, order), values)


def _search(unit: Tensor, gallery: Tensor, k: int, span: range) -> Neighbours:
    """Return the k nearest rows within ``span`` of the gallery; missing rows are -inf."""
    rows = torch.zeros(len(unit), k, dtype=torch.int64, device=unit.device)
    values = torch.full((len(unit), k), -torch.inf, device=unit.device)
    # Many queries make the blocks smaller, so that their similarities stay within BLOCK_VALUES.
    step = min(_BLOCK, max(1, BLOCK_VALUES // max(1, len(unit))))
    for start in span[::step]:
        similarity = _cosines(unit, gallery[start : min(start + step, span.stop)], start)
        # Rows equal to the last one come later in the gallery and stay out; most blocks improve few queries.
        better = (similarity.amax(dim=1) > values[:, -1]).nonzero()[:, 0]
        found, best = stable_topk(similarity[better], min(k, similarity.shape[1]))
        both = torch.cat([values[better], best], dim=1)
        # A stable sort keeps the earlier block first among equal rows.
        values[better], order = (part[:, :k] for part in both.sort(dim=1, descending=True, stable=True))
        rows[better] = torch.cat([rows[better], found + start], dim=1).gather(1, order)
    return Neighbours(rows, values)


def _cosines(unit: Tensor, block: Tensor, first: int) -> Tensor:
    """Return the cosines of unit queries and a block of gallery rows, (queries, block)."""
    length, similarity = unit.new_empty(len(block)), unit.new_empty(len(unit), len(block))
    step = _CACHED if unit.device.type == "cpu" else len(block)
    for start in range(0, len(block), step):
        part = slice(start, start + step)
        rows = block[part].to(unit.device).to(torch.float32)
        torch.linalg.vector_norm(rows, dim=1, out=length[part])
        torch.mm(unit, rows.T, out=similarity[:, part])
    # A length of zero, or one that float32 cannot hold: use the careful way, which also names the faulty row.
    if not bool(((length > 1e-15) & (length < 1e15)).all()):
        return unit @ unit_rows(block.to(unit.device), "gallery", first=first).T
    return similarity.div_(length)


def tensor(rows: Embeddings) -> Tensor:
    """Return rows as a tensor that shares their memory; it must only be read."""
    if isinstance(rows, Tensor):
        return rows
    with warnings.catch_warnings():
        # A file mapped read-only is fine, because the tensor is only read.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        try:
            return torch.from_numpy(rows)
        except (TypeError, ValueError) as error:  # not an array, another byte order, reversed rows
            reason = str(error).partition("\n")[0]
            raise VireidError(
                f"gallery: expected a tensor or a plain array of this machine's type ({reason})"
            ) from error


def self_neighbours(embeddings: Tensor, k: int) -> tuple[Neighbours, Tensor]:
    """Return the k nearest rows of every row among all rows, itself included, and the row farthest from it.

    The similarity matrix is symmetric: each tile is computed once and serves its rows and, transposed, its columns.
    Nothing of size n x n is held.

    Args:
        embeddings: (n, d) rows of length 1.
        k: at most n.

    Returns:
        neighbours with (n, k) rows, and (n,) int64 farthest rows.
    """
    n = len(embeddings)
    rows = torch.zeros(n, k, dtype=torch.int64, device=embeddings.device)
    values = torch.full((n, k), -torch.inf, device=embeddings.device)
    lowest = torch.full((n,), torch.inf, device=embeddings.device)
    farthest = torch.zeros(n, dtype=torch.int64, device=embeddings.device)

    def merge(start: int, offset: int, tile: Tensor) -> None:
        """Merge the similarities of rows ``start``... with rows ``offset``..., which come in ascending order."""
        side = slice(start, start + len(tile))
        columns, similarities = stable_topk(tile, min(k, tile.shape[1]))
        both = torch.cat([values[side], similarities], dim=1)
        values[side], best = (found[:, :k] for found in both.sort(dim=1, descending=True, stable=True))
        rows[side] = torch.cat([rows[side], columns + offset], dim=1).gather(1, best)
        low, column = tile.min(dim=1)
        farthest[side] = torch.where(low < lowest[side], column + offset, farthest[side])
        lowest[side] = torch.minimum(low, lowest[side])

    # Tiles of equal size: products on the diagonal are computed twice, and an almost empty last tile adds more.
    step = math.ceil(n / math.ceil(n / _TILE))
    for start in range(0, n, step):
        for offset in range(start, n, step):
            if offset == start:
                merge(start, start, _self_product(embeddings[start : start + step]))
                continue
            tile = embeddings[start : start + step] @ embeddings[offset : offset + step].T
            merge(start, offset, tile)
            merge(offset, start, tile.T.contiguous())
    return Neighbours(rows, values), farthest


def _self_product(rows: Tensor) -> Tensor:
    """Return rows @ rows.T, a quarter of it copied from its mirror image."""
    half = len(rows) // 2
    product = rows.new_empty(len(rows), len(rows))
    product[:half] = rows[:half] @ rows.T
    product[half:, half:] = rows[half:] @ rows[half:].T
    product[half:, :half] = product[:half, half:].T
    return product


def settle_near_ties(embeddings: Tensor, found: Neighbours, cuts: tuple[int, ...]) -> Tensor:
    """Return the rows of the neighbours, sorted again in float64 where float32 may have got a cut wrong.

    Args:
        embeddings: (n, d) float64 rows of length 1; the neighbours are those of each row among all rows.
        found: (n, k) neighbours, from products in float32.
        cuts: list lengths that matter; a row is sorted again if the similarities on both sides of one of them
            are closer than float32 can tell. Cuts at or beyond k are ignored.

    Returns:
        (n, k) int64.
    """
    inner = [cut for cut in cuts if 0 < cut < found.rows.shape[1]]
    gaps = found.similarities[:, [cut - 1 for cut in inner]] - found.similarities[:, inner]
    unsure = (gaps < _NEAR_TIE).any(dim=1).nonzero()[:, 0]
    rows = found.rows.clone()
    for part in torch.split(unsure, 256):
        near = rows[part].sort(dim=1).values
        exact = (embeddings[near] * embeddings[part, None]).sum(dim=2)
        rows[part] = near.gather(1, exact.argsort(dim=1, descending=True, stable=True))
    return rows
