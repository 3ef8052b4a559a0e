"""CMC, mAP and mINP the way everybody writes them: sort the whole matrix, then loop over the queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass
class Outcome:
    """``cmc`` (20,), means over valid queries; per query: first rank (as the CMC counts), AP, INP, worst rank."""

    cmc: npt.NDArray[np.float64]
    map: float
    minp: float
    valid: int
    first: list[int]
    worst: list[int]
    average_precision: list[float]


def loop(
    similarity: npt.NDArray[np.float32],
    query_ids: Ints,
    gallery_ids: Ints,
    query_cameras: Ints,
    gallery_cameras: Ints,
    protocol: str,
    ranks: int = 20,
) -> Outcome:
    """Score a (queries, gallery) similarity matrix under a protocol's rule."""
    order = np.argsort(-similarity, axis=1, kind="stable")
    curves, precisions, penalties, first, worst = [], [], [], [], []
    for query in range(len(similarity)):
        ranked = order[query]
        ids, cameras = gallery_ids[ranked], gallery_cameras[ranked]
        camera = query_cameras[query]
        if protocol == "sysu":
            removed = ((camera == 3) & (cameras == 2)) | ((camera == 2) & (cameras == 3))
        elif protocol in ("llcm", "market", "manifest"):
            removed = (ids == query_ids[query]) & (cameras == camera)
        else:
            removed = np.zeros(len(ids), bool)
        ids = ids[~removed]
        hits = (ids == query_ids[query]).astype(np.int64)
        if not hits.any():
            first.append(0)
            worst.append(0)
            continue
        counted = hits
        if protocol in ("sysu", "llcm"):
            _, firsts = np.unique(ids, return_index=True)
            counted = hits[np.sort(firsts)]
        first.append(int(np.argmax(counted)) + 1)
        curve = counted.cumsum()
        curve[curve > 1] = 1
        curves.append(np.concatenate([curve, np.ones(ranks, np.int64)])[:ranks])
        found = hits.cumsum()
        precision = [count / (position + 1.0) for position, count in enumerate(found)]
        precisions.append(float((np.asarray(precision) * hits).sum() / hits.sum()))
        last = int(np.max(np.where(hits == 1)[0]))
        worst.append(last + 1)
        penalties.append(found[last] / (last + 1.0))
    return Outcome(
        np.asarray(curves, np.float64).mean(axis=0),
        float(np.mean(precisions)),
        float(np.mean(penalties)),
        len(curves),
        first,
        worst,
        precisions,
    )
