"""Approximate search with FAISS if it is installed, else exact search; the answer says which it was."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vireid.retrieval.neighbours import Embeddings, nearest, tensor
from vireid.retrieval.ranking import Neighbours, check_embeddings, unit_rows
from vireid.types import VireidError

_BLOCK = 65536
_SAMPLE = 32
"""Queries of a search that are also answered exactly, to measure the recall."""


class GalleryIndex:
    """A gallery for repeated searches.

    With ``approximate`` and FAISS installed, it is an inverted-file index of float16 vectors (about 2 d bytes
    per row, in memory), of which every search visits a part. Otherwise every search is exact, directly on
    ``gallery``.
    """

    def __init__(self, gallery: Embeddings, *, approximate: bool = False, visited: float = 0.05) -> None:
        """Build the index.

        Args:
            gallery: as for `nearest`.
            approximate: use FAISS; a warning says if it is missing.
            visited: share of the index cells that a search visits; more is slower and finds more.

        Raises:
            VireidError: a gallery that `nearest` would refuse, ``visited`` outside 0..1.
        """
        if not 0 < visited <= 1:
            raise VireidError(f"visited: expected a share above 0, at most 1, got {visited}")
        check_embeddings(tensor(gallery), "gallery")
        self._gallery = gallery
        self._index: Any = None
        if approximate:
            try:
                faiss = importlib.import_module("faiss")
            except ImportError:
                warnings.warn("faiss is not installed: the search is exact; pip install 'vireid[faiss]'", stacklevel=2)
            else:
                self._index = _build(faiss, gallery, visited)

    def search(self, query: Tensor, k: int) -> Neighbours:
        """Return the k nearest gallery rows of every query; arguments and errors as for `nearest`.

        The method of an approximate answer is ``faiss``, and its recall is the share of the exact k nearest rows
        that it contains, measured on the first 32 queries. Its similarities are exact; a row that was not found is
        -1, with similarity -inf.
        """
        if self._index is None:
            return nearest(query, self._gallery, k)
        exact = nearest(query[:_SAMPLE], self._gallery, k)
        unit = unit_rows(query, "query")
        _, rows = self._index.search(unit.cpu().numpy(), exact.rows.shape[1])
        found = self._exact_order(unit, torch.from_numpy(rows).to(query.device))
        hits = (found.rows[:_SAMPLE, :, None] == exact.rows[:, None]).any(dim=2)
        return Neighbours(found.rows, found.similarities, "faiss", float(hits.double().mean()), len(exact))

    def _exact_order(self, unit: Tensor, rows: Tensor) -> Neighbours:
        """Compute the similarities of the found rows in float32 and sort by them."""
        similarities = torch.full(rows.shape, -torch.inf, device=rows.device)
        rows = rows.sort(dim=1).values
        for query, found in enumerate(rows):
            there = found >= 0
            chosen = found[there].cpu()
            picked = self._gallery[chosen if isinstance(self._gallery, Tensor) else chosen.numpy()]
            similarities[query, there] = unit_rows(tensor(picked).to(unit.device), "gallery") @ unit[query]
        similarities, order = similarities.sort(dim=1, descending=True, stable=True)
        return Neighbours(rows.gather(1, order), similarities)


def _build(faiss: Any, gallery: Embeddings, visited: float) -> Any:
    """Train the index on evenly spread rows and add the gallery block by block."""
    count, dimensions = gallery.shape
    cells = max(1, min(int(4 * count**0.5), count // 39))
    index = faiss.index_factory(dimensions, f"IVF{cells},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1  # no message for a small gallery
    chosen = np.unique(np.linspace(0, count - 1, min(count, 64 * cells)).astype(np.int64))
    index.train(_unit_array(gallery[chosen], 0))
    for start in range(0, count, _BLOCK):
        index.add(_unit_array(gallery[start : start + _BLOCK], start))
    index.nprobe = max(1, round(visited * cells))
    return index


def _unit_array(rows: Any, first: int) -> Any:
    return unit_rows(tensor(rows), "gallery", first=first).cpu().numpy()
