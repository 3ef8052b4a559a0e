"""Method health, one position at a time in double precision."""

from __future__ import annotations

import numpy as np

from tests.reference import losses, weakening

Array = weakening.Array


def weakening_health(features: Array, matrix: str, alpha: float, beta: float, gate: str) -> dict[str, float]:
    """What DFW does to (b, c, h, w), whose positions are all strong or weak in every image."""
    weakened = weakening.weaken(features, matrix, alpha, beta, gate)
    weakened = weakened - weakening.weaken(np.zeros_like(features), matrix, alpha, beta, gate)
    sums = {(when, strong): 0.0 for when in ("before", "after") for strong in (True, False)}
    for image, changed in zip(features, weakened, strict=True):
        before, after = weakening.response(image), weakening.response(changed)
        low, high = before.min(), before.max()
        compared, threshold = ((before - low) / (high - low), beta) if matrix == "D2" else (before, before.mean())
        for position in np.ndindex(*before.shape):
            strong = bool(compared[position] >= threshold)
            sums["before", strong] += before[position]
            sums["after", strong] += after[position]
    kept = {strong: sums["after", strong] / sums["before", strong] for strong in (True, False)}
    scale = float((features * weakened).sum() / (weakened**2).sum())
    return {
        "strong_to_weak": kept[True] / kept[False],
        "strong_before": sums["before", True] / (sums["before", True] + sums["before", False]),
        "strong_after": sums["after", True] / (sums["after", True] + sums["after", False]),
        "change": float(np.linalg.norm(scale * weakened - features) / np.linalg.norm(features)),
    }


def branches_health(maps: list[Array], areas: Array) -> dict[str, float]:
    """Where branches respond in their maps (b, c, h, w); ``areas`` (b, h, w) are shares of body of the cells."""
    found: dict[str, float] = {}
    images = len(maps[0])
    peaks: list[list[tuple[int, ...]]] = [[] for _ in range(images)]
    for number, features in enumerate(maps, 1):
        responses = [losses.response(image, 3.0) for image in features]
        for k, f in enumerate(responses):
            peaks[k].append(max(np.ndindex(*f.shape), key=lambda position, f=f: f[position]))  # type: ignore[misc]
        centred = [f - f.mean() for f in responses]
        mean = sum(centred) / images
        found[f"branch {number}/peaks"] = len({cells[-1] for cells in peaks})
        found[f"branch {number}/by_position"] = float((mean**2).mean() / np.mean([(f**2).mean() for f in centred]))
        pairs = zip(responses, areas, strict=True)
        found[f"branch {number}/body"] = float(np.mean([np.corrcoef(f.ravel(), a.ravel())[0, 1] for f, a in pairs]))
    apart = [len(set(cells)) == len(cells) for cells in peaks]
    on_body = [all(area[cell] >= 0.5 for cell in cells) for cells, area in zip(peaks, areas, strict=True)]
    found["branches/apart"] = sum(apart) / images
    found["branches/apart_on_body"] = sum(a and b for a, b in zip(apart, on_body, strict=True)) / images
    return found
