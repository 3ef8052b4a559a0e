"""k-reciprocal re-ranking as sparse tensor operations.

Zhong, Zheng, Cao, Li: "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. Two images
are close if each is among the other's nearest and if their neighbourhoods overlap. Every image is described by a
sparse row of weights over its k-reciprocal neighbours; these rows, with a few hundred entries each, are all that is
stored.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from vireid.retrieval.neighbours import self_neighbours, settle_near_ties
from vireid.retrieval.ranking import Ranking, check_embeddings, unit_rows
from vireid.types import VireidError

_ROWS = 1024
_MEETINGS = 1 << 19
_MARGIN = 3
"""Neighbours kept beyond the last cut, so that settling near ties can move some across it."""


def rerank(query: Tensor, gallery: Tensor, *, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Ranking:
    """Rank a gallery for all queries together by k-reciprocal re-ranking (Zhong et al., CVPR 2017).

    Its numbers are to stand beside those of the plain ranking, never in their place: every query sees the others.

    Args:
        query: (queries, d) embeddings; the work is done on their device.
        gallery: (gallery, d) embeddings.
        k1: nearest neighbours that must be mutual.
        k2: nearest neighbours whose encodings are averaged; 1 switches that off.
        weight: share of the original distance, lambda in the paper.

    Returns:
        a `KReciprocalRanking`, whose similarities are in [0, 1].

    Raises:
        VireidError: embeddings without direction or of different dimension, k1 or k2 below 1, weight outside 0..1.

    Examples:
        >>> import torch, vireid
        >>> people, noise = torch.randn(2, 8, 64, generator=torch.Generator().manual_seed(0))
        >>> ranking = vireid.rerank(people + 0.5 * noise, people.repeat(4, 1), k1=5)
        >>> (ranking.top(4).rows % 8).equal(torch.arange(8)[:, None].expand(-1, 4))
        True
    """
    return KReciprocalRanking(query, gallery, k1=k1, k2=k2, weight=weight)


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix by rows: row i has the entries start[i] to start[i + 1] of ``columns`` and ``values``."""

    start: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def from_keys(cls, keys: Tensor, values: Tensor, shape: tuple[int, int]) -> SparseRows:
        """Build from ascending ``row * columns + column`` keys."""
        counts = torch.bincount(keys // shape[1], minlength=shape[0])
        start = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(start, keys % shape[1], values)

    def entries(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the entries of the given rows: (m,) position in ``rows`` and (m,) position in ``columns``."""
        counts = self.start[rows + 1] - self.start[rows]
        which = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), counts)
        first = (counts.cumsum(0) - counts)[which]
        return which, torch.arange(len(which), device=rows.device) - first + self.start[rows][which]


class KReciprocalRanking(Ranking):
    """Ranking by 1 - [(1 - weight) Jaccard distance + weight original distance].

    The original distance is the squared Euclidean distance of unit vectors, divided by the largest in the query's
    row, as in the authors' code; the similarity is therefore in [0, 1].
    """

    method = "k-reciprocal"

    def __init__(self, query: Tensor, gallery: Tensor, *, k1: int = 20, k2: int = 6, weight: float = 0.3) -> None:
        """Encode queries and gallery together.

        Args:
            query: (queries, d) embeddings; scaled to length 1 here.
            gallery: (gallery, d) embeddings, likewise.
            k1: nearest neighbours that must be mutual.
            k2: nearest neighbours whose encodings are averaged (local query expansion); 1 switches it off.
            weight: share of the original distance, lambda in the paper.

        Raises:
            VireidError: embeddings without direction or of different dimensions, k1 or k2 below 1, weight
                outside 0..1.
        """
        if k1 < 1 or k2 < 1 or not 0 <= weight <= 1:
            raise VireidError(f"re-ranking: expected k1 and k2 of at least 1, weight in 0..1, got {k1}, {k2}, {weight}")
        check_embeddings(query, "query")
        check_embeddings(gallery, "gallery")
        if query.shape[1] != gallery.shape[1]:
            raise VireidError(f"query embeddings have {query.shape[1]} dimensions, gallery {gallery.shape[1]}")
        self.queries, self.gallery, self.device = len(query), len(gallery), query.device
        n = self.queries + self.gallery
        # Neighbours are searched in float32 and settled in float64, and everything after that is float64, so that
        # neighbourhoods and order are those of exact arithmetic on every device.
        self._embeddings = torch.empty(n, query.shape[1], dtype=torch.float64, device=query.device)
        unit_rows(query, "query", out=self._embeddings[: self.queries])
        unit_rows(gallery, "gallery", out=self._embeddings[self.queries :])
        if k1 >= n:
            warnings.warn(f"re-ranking: k1 {k1} is not below the {n} images; all of them are neighbours", stacklevel=2)
        self._weight = weight
        half = round(k1 / 2) + 1
        found, farthest = self_neighbours(self._embeddings.float(), min(max(k1 + 1, k2) + _MARGIN, n))
        near = settle_near_ties(self._embeddings, found, (k1 + 1, half, k2))
        own = torch.arange(n, device=near.device)
        pairs = torch.split(own * n + farthest, _ROWS)
        lowest = torch.cat([_pair_cosines(self._embeddings, keys) for keys in pairs])
        self._largest = (2 - 2 * lowest).clamp_min(torch.finfo(torch.float32).tiny)
        encoded = self._encode(near[:, : k1 + 1], half)
        self._codes = _average(encoded, near[:, :k2]) if k2 > 1 else encoded
        self._by_column = _transpose(self._codes, self.queries, n)

    def block(self, start: int, stop: int) -> Tensor:
        rows = torch.arange(start, stop, device=self._embeddings.device)
        cosine = self._embeddings[start:stop] @ self._embeddings[self.queries :].T
        distance = self._jaccard(rows).lerp_(self._distance(cosine, rows[:, None]), self._weight)
        return distance.neg_().add_(1)

    def _distance(self, cosine: Tensor, rows: Tensor) -> Tensor:
        return (2 - 2 * cosine).clamp_min_(0).div_(self._largest[rows])

    def _encode(self, near: Tensor, half: int) -> SparseRows:
        """Return weights exp(-distance) over the expanded k-reciprocal neighbours of every image; rows sum to 1."""
        n = len(near)
        mutual_half = _mutual(near[:, :half])
        parts = [_reciprocal_sets(near, mutual_half, start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]
        cosines = torch.cat([_pair_cosines(self._embeddings, keys) for keys in parts])
        rows = SparseRows.from_keys(torch.cat(parts), cosines, (n, n))
        which, _ = rows.entries(torch.arange(n, device=near.device))
        weights = torch.exp(-self._distance(rows.values, which))
        total = weights.new_zeros(n).index_add_(0, which, weights)
        return SparseRows(rows.start, rows.columns, weights / total[which])

    def _jaccard(self, rows: Tensor) -> Tensor:
        """Return the Jaccard distance of the queries ``rows`` to the gallery: 1 - sum of minima / sum of maxima."""
        shared = self._codes.values.new_zeros(len(rows) * self.gallery)
        which, entry = self._codes.entries(rows)
        column, value = self._codes.columns[entry], self._codes.values[entry]
        place = which * self.gallery
        # In parts that share about _MEETINGS entries with the gallery, because each of these is held in memory.
        meets = (self._by_column.start[column + 1] - self._by_column.start[column]).cumsum(0) // _MEETINGS
        start = 0
        for count in torch.unique_consecutive(meets, return_counts=True)[1].tolist():
            part = slice(start, start + count)
            source, met = self._by_column.entries(column[part])
            low = torch.minimum(value[part][source], self._by_column.values[met])
            shared.index_add_(0, place[part][source] + self._by_column.columns[met], low)
            start += count
        # Both rows sum to 1, so the maxima sum to 2 minus the minima.
        return shared.div_(2 - shared).neg_().add_(1).view(len(rows), self.gallery)


def _mutual(rows: Tensor) -> Tensor:
    """Return (n, k) bool: whether row i is among the neighbours of its neighbour rows[i, j]."""
    own = torch.arange(len(rows), device=rows.device)[:, None, None]
    parts = (slice(start, start + _ROWS) for start in range(0, len(rows), _ROWS))
    return torch.cat([(rows[rows[part]] == own[part]).any(dim=2) for part in parts])


def _reciprocal_sets(near: Tensor, mutual_half: Tensor, start: int, stop: int) -> Tensor:
    """Return the expanded k-reciprocal neighbours of rows start..stop as ascending ``row * n + neighbour``
    keys.

    The set R of mutual neighbours is extended by the mutual half-size set of each member of R if more than two
    thirds of that set are already in R.
    """
    n, half = len(near), mutual_half.shape[1]
    forward = near[start:stop]
    own = torch.arange(start, stop, device=near.device)
    mutual = (near[forward] == own[:, None, None]).any(dim=2)
    theirs = near[forward, :half]
    member = mutual_half[forward]
    in_set = ((theirs[..., None] == forward[:, None, None]) & mutual[:, None, None]).any(dim=3)
    shared, size = (in_set & member).sum(dim=2), member.sum(dim=2)
    taken = (mutual & (3 * shared > 2 * size))[..., None] & member & ~in_set
    old, new = own[:, None] * n + forward, own[:, None, None] * n + theirs
    keys: Tensor = torch.unique(torch.cat([old[mutual], new[taken]]))
    return keys


def _pair_cosines(embeddings: Tensor, keys: Tensor) -> Tensor:
    """Return the cosines of the pairs ``row * n + column``; keys ascend and span only a few rows."""
    n = len(embeddings)
    first, last = int(keys[0]) // n, int(keys[-1]) // n
    rows = embeddings[first : last + 1]
    pattern = SparseRows.from_keys(keys - first * n, keys, (len(rows), n))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        wanted = torch.sparse_csr_tensor(
            pattern.start,
            pattern.columns,
            embeddings.new_zeros(len(keys)),
            size=(len(rows), n),
            check_invariants=False,
        )
    products: Tensor = torch.sparse.sampled_addmm(wanted, rows, embeddings.T, beta=0.0).values()
    return products


def _average(codes: SparseRows, rows: Tensor) -> SparseRows:
    """Return the means of codes: row i is the mean over rows[i]; ``rows`` is (n, k) int64."""
    n, k = rows.shape
    keys, values = [], []
    for start in range(0, n, _ROWS):
        part = rows[start : start + _ROWS]
        which, entry = codes.entries(part.reshape(-1))
        key, place = torch.unique((start + which // k) * n + codes.columns[entry], return_inverse=True)
        keys.append(key)
        values.append(codes.values.new_zeros(len(key)).index_add_(0, place, codes.values[entry] / k))
    return SparseRows.from_keys(torch.cat(keys), torch.cat(values), (n, n))


def _transpose(codes: SparseRows, first: int, n: int) -> SparseRows:
    """Return the codes from row ``first`` on, by column; columns of the result count those rows from 0."""
    rows = torch.arange(first, n, device=codes.start.device)
    which, entry = codes.entries(rows)
    keys, order = (codes.columns[entry] * len(rows) + which).sort()
    return SparseRows.from_keys(keys, codes.values[entry][order], (n, len(rows)))
