"""CMC, mAP and mINP from a ranking, without sorting it and without a loop over queries.

All three follow from the rank of every true match. That rank is one plus the number of gallery images ahead
of the match, and counting those is a comparison of the query's row with one value: far cheaper than sorting
the row.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vireid.evaluation.rules import Labels, MatchRule, removed
from vireid.retrieval.ranking import BLOCK_VALUES, Ranking
from vireid.types import VireidError

NUMBERS = ("rank1", "rank5", "rank10", "rank20", "map", "minp")
"""The fractions of `Metrics`."""
_CACHED = 1 << 18
"""Values scored at a time on a CPU."""
_SORT_FROM = 128
"""Matches per query from which one sort of the row is cheaper than a comparison per match."""


@dataclass(frozen=True)
class QueryScores:
    """What every query found; the averages, intervals and tests are made of it.

    Shapes: all (queries,). ``matches`` int64: true matches among the ``candidates`` int64 gallery images left
    after the rule's removals; a query without matches is not valid, counts nowhere and has zeros below.
    ``cmc_rank`` int64: rank of the best match, from 1, counted in images or in identities as the rule says.
    ``worst_rank`` int64: rank of the worst match, in images. ``average_precision`` float64 in (0, 1].
    ``identities`` and ``cameras`` int64: the labels of the queries.
    """

    matches: Tensor
    candidates: Tensor
    cmc_rank: Tensor
    worst_rank: Tensor
    average_precision: Tensor
    identities: Tensor
    cameras: Tensor

    @property
    def valid(self) -> Tensor:
        """(queries,) bool: has at least one true match in its gallery."""
        return self.matches > 0

    @property
    def inverse_negative_penalty(self) -> Tensor:
        """(queries,) float64, matches over the rank of the worst (Ye et al. 2021); 0 where not valid."""
        return self.matches / self.worst_rank.clamp_min(1).double()

    def __len__(self) -> int:
        return len(self.matches)

    def __getitem__(self, rows: Tensor) -> QueryScores:
        return QueryScores(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def cat(cls, parts: list[QueryScores]) -> QueryScores:
        """Return the scores of all parts, in order."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class Metrics:
    """Means over the valid queries, as fractions in [0, 1]."""

    rank1: float
    rank5: float
    rank10: float
    rank20: float
    map: float
    minp: float
    valid_queries: int
    dropped_queries: int


def score_queries(
    ranking: Ranking, query: Labels, gallery: Labels, rule: MatchRule, block_values: int = BLOCK_VALUES
) -> QueryScores:
    """Return what every query found.

    Equal similarities rank in gallery order. Memory stays within a few times ``block_values`` float32 values
    (but at least a few rows of the gallery's length).

    Args:
        ranking: similarities of the queries to the gallery.
        query: labels of the queries, one per row of the ranking.
        gallery: labels of the gallery, one per column.
        rule: removals and CMC of the protocol.
        block_values: similarity values held at a time.

    Raises:
        VireidError: labels and ranking differ in length.
    """
    if (len(query), len(gallery)) != (ranking.queries, ranking.gallery):
        raise VireidError(
            f"labels: {len(query)} queries and {len(gallery)} gallery images, but the ranking has "
            f"{ranking.queries} and {ranking.gallery}; pass the labels of the ranked rows"
        )
    query, gallery = query.to(ranking.device), gallery.to(ranking.device)

    def score(rows: slice, similarity: Tensor) -> QueryScores:
        side, count = query[rows], len(similarity)
        # On a CPU in parts that stay in its cache from one operation to the next.
        size = max(1, _CACHED // similarity.shape[1]) if similarity.device.type == "cpu" else count
        parts = (slice(start, start + size) for start in range(0, count, size))
        return QueryScores.cat([_score_block(similarity[part], side[part], gallery, rule) for part in parts])

    return QueryScores.cat(ranking.map(score, block_values))


def summarise(scores: QueryScores) -> Metrics:
    """Return the means over the valid queries; `VireidError` when there is none."""
    valid = scores[scores.valid]
    if not len(valid):
        raise VireidError(
            "no query has a true match in the gallery: check that both sides use the same identity numbers"
        )
    curve = cmc(scores, 20)
    return Metrics(
        rank1=float(curve[0]),
        rank5=float(curve[4]),
        rank10=float(curve[9]),
        rank20=float(curve[19]),
        map=float(valid.average_precision.mean()),
        minp=float(valid.inverse_negative_penalty.mean()),
        valid_queries=len(valid),
        dropped_queries=len(scores) - len(valid),
    )


def cmc(scores: QueryScores, ranks: int) -> Tensor:
    """Return (ranks,) float64, the share of valid queries whose best match has rank 1, at most 2, and so on."""
    found = scores.cmc_rank[scores.valid]
    return (found[:, None] <= torch.arange(1, ranks + 1, device=found.device)).double().mean(dim=0)


def chance(scores: QueryScores) -> tuple[float, float]:
    """Return the expected rank-1 and mAP of a random order of each valid query's gallery.

    With m matches among n images the first image is a match with probability m / n (its identity is then the
    first, too). A match at position i has, of the i - 1 images before it, an expected (m - 1) / (n - 1) share
    of matches; the mean over positions gives the expected average precision
    [H_n + (n - H_n)(m - 1) / (n - 1)] / n with the harmonic number H_n.
    """
    m, n = (count[scores.valid].double() for count in (scores.matches, scores.candidates))
    harmonic = torch.digamma(n + 1) - torch.digamma(torch.ones_like(n))
    expected = (harmonic + (n - harmonic) * (m - 1) / (n - 1).clamp_min(1)) / n
    return float((m / n).mean()), float(expected.mean())


def _score_block(similarity: Tensor, query: Labels, gallery: Labels, rule: MatchRule) -> QueryScores:
    is_match = query.identities[:, None] == gallery.identities
    excluded = removed(rule, query, gallery)
    candidates = torch.full_like(query.identities, similarity.shape[1])
    if excluded is not None:
        is_match &= ~excluded
        similarity.masked_fill_(excluded, -torch.inf)
        candidates -= torch.count_nonzero(excluded, dim=1)
    columns, present = _match_columns(is_match)
    ranks = _match_ranks(similarity, columns, present)
    matches = present.sum(dim=1)
    order = torch.arange(1, ranks.shape[1] + 1, device=ranks.device)
    hits = torch.where(present, order / ranks.sort(dim=1).values.double(), 0.0)
    best = ranks.argmin(dim=1, keepdim=True)
    if rule.identity_cmc:
        cmc_rank = _identities_ahead(similarity, columns.gather(1, best), gallery.identities) + 1
    else:
        cmc_rank = ranks.gather(1, best)[:, 0]
    return QueryScores(
        matches=matches,
        candidates=candidates,
        cmc_rank=torch.where(matches > 0, cmc_rank, 0),
        worst_rank=torch.where(present, ranks, 0).amax(dim=1),
        average_precision=hits.sum(dim=1) / matches.clamp_min(1),
        identities=query.identities,
        cameras=query.cameras,
    )


def _match_columns(is_match: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gallery columns of every query's matches, (q, most matches), and which slots are in use."""
    row, column = is_match.nonzero(as_tuple=True)
    counts = torch.bincount(row, minlength=len(is_match))
    slot = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    # At least one slot, so that a block of queries without matches needs no special case.
    slots = max(1, int(counts.max()))
    columns = counts.new_zeros(len(counts), slots)
    columns[row, slot] = column
    return columns, torch.arange(slots, device=counts.device) < counts[:, None]


def _match_ranks(similarity: Tensor, columns: Tensor, present: Tensor) -> Tensor:
    """Return the rank of every match, from 1; a padded slot gets the largest integer, so that it sorts last.

    The comparisons are written as 0.0 and 1.0 and summed by a matrix product, the fastest count there is on
    CPU and GPU; it is exact up to 2^24 gallery images. With very many matches a query, sorting is cheaper.
    """
    ranks = torch.full_like(columns, torch.iinfo(torch.int64).max)
    position = torch.arange(similarity.shape[1], device=similarity.device)
    if columns.shape[1] > _SORT_FROM:
        order = similarity.argsort(dim=1, descending=True, stable=True)
        place = torch.empty_like(order).scatter_(1, order, position.expand_as(order))
        return torch.where(present, place.gather(1, columns) + 1, ranks)
    ones = similarity.new_ones(similarity.shape[1])
    compared = torch.empty_like(similarity)
    for slot in range(columns.shape[1]):
        column = columns[:, slot, None]
        score = similarity.gather(1, column)
        ahead = torch.gt(similarity, score, out=compared) @ ones
        level = torch.ge(similarity, score, out=compared) @ ones
        rank = ahead.long() + 1
        tied = ((level > ahead + 1) & present[:, slot]).nonzero()[:, 0]
        if len(tied):
            rank[tied] += ((similarity[tied] == score[tied]) & (position < column[tied])).sum(dim=1)
        ranks[:, slot] = torch.where(present[:, slot], rank, ranks[:, slot])
    return ranks


def _identities_ahead(similarity: Tensor, best: Tensor, identities: Tensor) -> Tensor:
    """Return (q,) int64, how many identities have an image ahead of the query's best match, (q, 1) columns."""
    score = similarity.gather(1, best)
    position = torch.arange(similarity.shape[1], device=similarity.device)
    ahead = (similarity > score) | ((similarity == score) & (position < best))
    people, index = torch.unique(identities, return_inverse=True)
    images = torch.zeros(len(ahead), len(people), dtype=torch.int32, device=ahead.device)
    return torch.count_nonzero(images.index_add_(1, index, ahead.int()), dim=1)
