"""From the features of a test part to the ranking of a trial, and to the ranked lists that pictures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vireid.evaluation.protocols import Setting, Trial
from vireid.evaluation.rules import Labels
from vireid.retrieval.ranking import CosineRanking, Ranking, stable_topk
from vireid.retrieval.rerank import KReciprocalRanking
from vireid.retrieval.variants import CameraRanking, ExpandedRanking
from vireid.types import Features, VireidError


def rank_trial(
    features: Features,
    trial: Trial,
    *,
    rerank: bool = False,
    expand_queries: bool = False,
    camera_aware: bool = False,
) -> tuple[Ranking, Labels, Labels]:
    """Return the ranking of one trial and the labels of its queries and of its gallery.

    The arguments are those of `evaluate`.
    """
    rows = [torch.from_numpy(side).to(features.embeddings.device) for side in (trial.query, trial.gallery)]
    if max(int(side.max()) for side in rows) >= len(features):
        raise VireidError(
            f"features: {len(features)} rows, the setting needs more; embed the same data set's test part"
        )
    query, gallery = (features[side] for side in rows)
    return (
        rank(query, gallery, rerank=rerank, expand_queries=expand_queries, camera_aware=camera_aware),
        Labels.of(query, rows[0]),
        Labels.of(gallery, rows[1]),
    )


def rank(query: Features, gallery: Features, *, rerank: bool, expand_queries: bool, camera_aware: bool) -> Ranking:
    """Return the ranking of one kind; `VireidError` where more than one is asked for."""
    if rerank + expand_queries + camera_aware > 1:
        raise VireidError("re-ranking, query expansion and camera correction: choose one for a result")
    if camera_aware:
        return CameraRanking(query.embeddings, gallery.embeddings, query.cameras, gallery.cameras)
    if rerank:
        return KReciprocalRanking(query.embeddings, gallery.embeddings)
    make = ExpandedRanking if expand_queries else CosineRanking
    return make(query.embeddings, gallery.embeddings)


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
    rerank: bool = False,
) -> RankedLists:
    """Return the first k gallery images of some queries.

    Args:
        features: as for `evaluate`.
        setting: from `settings_for`.
        queries: positions in the trial's query list.
        k: entries per list; the whole gallery where it is smaller.
        trial: which draw of the gallery.
        rerank: as for `evaluate`.
    """
    draw = setting.trials[trial]
    ranking, query_labels, gallery_labels = rank_trial(features, draw, rerank=rerank)
    chosen = torch.as_tensor(queries, device=query_labels.identities.device)
    excluded = setting.rule.excluded(query_labels[chosen], gallery_labels)
    similarity = torch.cat([ranking.block(row, row + 1) for row in chosen.tolist()])
    if excluded is not None:
        similarity.masked_fill_(excluded, -torch.inf)
    columns, best = stable_topk(similarity, min(k, ranking.gallery))
    correct = gallery_labels.identities[columns] == query_labels.identities[chosen, None]
    gallery_rows = torch.from_numpy(draw.gallery).to(chosen.device)[columns]
    query_rows = torch.from_numpy(draw.query).to(chosen.device)[chosen]
    return RankedLists(query_rows, gallery_rows, best, correct & best.isfinite())
