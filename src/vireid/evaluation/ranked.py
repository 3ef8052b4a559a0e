"""From the features of a test part to the ranking of a trial, and to the ranked lists that pictures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from vireid.evaluation.protocols import Setting, Trial
from vireid.evaluation.rules import Labels, removed
from vireid.retrieval.ranking import CosineRanking, Ranking, stable_topk
from vireid.retrieval.reranking import KReciprocalRanking
from vireid.retrieval.variants import CameraRanking, ExpandedRanking
from vireid.types import Features, VireidError

RankingMethod = Literal["cosine", "k-reciprocal", "query-expansion", "camera-aware"]
"""How a gallery is ranked. All but the plain cosine stand beside it, never instead of it."""


def rank_trial(features: Features, trial: Trial, method: RankingMethod = "cosine") -> tuple[Ranking, Labels, Labels]:
    """Return the ranking of one trial and the labels of its queries and of its gallery.

    The arguments are those of `score_setting`.
    """
    rows = [torch.from_numpy(side).to(features.embeddings.device) for side in (trial.query, trial.gallery)]
    if max(int(side.max()) for side in rows) >= len(features):
        raise VireidError(
            f"features: {len(features)} rows, the setting needs more; embed the same data set's test part"
        )
    query, gallery = (features[side] for side in rows)
    return (
        rank(query, gallery, method),
        Labels.of(query, rows[0]),
        Labels.of(gallery, rows[1]),
    )


def rank(query: Features, gallery: Features, method: RankingMethod) -> Ranking:
    """Return the ranking of one kind."""
    if method == "camera-aware":
        return CameraRanking(query.embeddings, gallery.embeddings, query.cameras, gallery.cameras)
    for kind in (CosineRanking, KReciprocalRanking, ExpandedRanking):
        if method == kind.method:
            return kind(query.embeddings, gallery.embeddings)
    raise VireidError(f"method: expected one of {', '.join(get_args(RankingMethod))}, got {method}")


@dataclass(frozen=True)
class RankedLists:
    """The first entries of some queries' rankings, after the protocol's removals, for pictures.

    Shapes: ``query`` (n,) and ``gallery`` (n, k) int64 rows of ``dataset.test``, best first; ``similarity``
    (n, k) floating point; ``correct`` (n, k) bool. Where removals leave fewer than k images the similarity is
    -inf.
    """

    query: Tensor
    gallery: Tensor
    similarity: Tensor
    correct: Tensor


def ranked_lists(
    features: Features,
    setting: Setting,
    queries: Sequence[int],
    k: int = 10,
    *,
    trial: int = 0,
    method: RankingMethod = "cosine",
) -> RankedLists:
    """Return the first k gallery images of some queries.

    Args:
        features: as for `score_setting`.
        setting: from `settings_for`.
        queries: positions in the trial's query list.
        k: entries per list; the whole gallery where it is smaller.
        trial: which draw of the gallery.
        method: as for `score_setting`.
    """
    draw = setting.trials[trial]
    ranking, query_labels, gallery_labels = rank_trial(features, draw, method)
    chosen = torch.as_tensor(queries, device=query_labels.identities.device)
    excluded = removed(setting.rule, query_labels[chosen], gallery_labels)
    similarity = torch.cat([ranking.block(row, row + 1) for row in chosen.tolist()])
    if excluded is not None:
        similarity.masked_fill_(excluded, -torch.inf)
    columns, best = stable_topk(similarity, min(k, ranking.gallery))
    correct = gallery_labels.identities[columns] == query_labels.identities[chosen, None]
    gallery_rows = torch.from_numpy(draw.gallery).to(chosen.device)[columns]
    query_rows = torch.from_numpy(draw.query).to(chosen.device)[chosen]
    return RankedLists(query_rows, gallery_rows, best, correct & best.isfinite())
