"""Tables by camera pair and by modality pair: where a result is good and where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from vireid.evaluation.metrics import QueryScores, score_queries, summarise
from vireid.evaluation.protocols import Setting
from vireid.evaluation.rules import Labels
from vireid.retrieval.ranking import CosineRanking
from vireid.types import Features, Modality


@dataclass(frozen=True)
class Cell:
    """Queries of one group against only the gallery images of one group.

    ``query``, ``gallery``: the groups' names. ``images``: gallery images of the group, mean over the trials.
    ``valid_queries`` counts over all trials; rank1, map and minp are their means.
    """

    query: str
    gallery: str
    images: float
    valid_queries: int
    rank1: float
    map: float
    minp: float


def breakdown(features: Features, setting: Setting, by: Literal["camera", "modality"]) -> list[Cell]:
    """Score every pair of groups alone, by cosine similarity and the setting's rule.

    Pairs without a valid query (as cameras 3 and 2 of SYSU-MM01, which are never compared) have no cell.

    Args:
        features: row by row those of the data set's test part.
        setting: its trials are pooled.
        by: what groups the images.
    """
    groups = features.cameras if by == "camera" else features.modalities
    found: dict[tuple[int, int], list[QueryScores]] = {}
    images: dict[int, list[int]] = {}
    for trial in setting.trials:
        query_rows, gallery_rows = (torch.from_numpy(rows).to(groups.device) for rows in (trial.query, trial.gallery))
        for group in torch.unique(groups[gallery_rows]).tolist():
            part = gallery_rows[groups[gallery_rows] == group]
            images.setdefault(group, []).append(len(part))
            query, gallery = features[query_rows], features[part]
            ranking = CosineRanking(query.embeddings, gallery.embeddings)
            sides = Labels.of(query, query_rows), Labels.of(gallery, part)
            scores = score_queries(ranking, *sides, setting.rule)
            for source in torch.unique(groups[query_rows]).tolist():
                chosen = scores[(groups[query_rows] == source) & scores.valid]
                if len(chosen):
                    found.setdefault((source, group), []).append(chosen)
    return [
        _cell(_name(source, by), _name(group, by), images[group], QueryScores.cat(scores))
        for (source, group), scores in sorted(found.items())
    ]


def _name(group: int, by: Literal["camera", "modality"]) -> str:
    return str(Modality(group)) if by == "modality" else f"camera {group}"


def _cell(query: str, gallery: str, images: list[int], scores: QueryScores) -> Cell:
    metrics = summarise(scores)
    mean = sum(images) / len(images)
    return Cell(query, gallery, mean, len(scores), metrics.rank1, metrics.map, metrics.minp)
