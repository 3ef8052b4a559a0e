"""k-reciprocal re-ranking in the shape everyone uses: full matrices and one image at a time, here in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def k_reciprocal_distance(
    query: npt.ArrayLike,
    gallery: npt.ArrayLike,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    codes: type[np.floating[Any]] = np.float64,
) -> Array:
    """Return the (queries, gallery) distances.

    ``codes`` is the type of the encodings and Jaccard distances: float64 for comparisons, float16 as in the scripts
    that everyone copies, for timing.
    """
    images = np.concatenate([np.asarray(query, np.float64), np.asarray(gallery, np.float64)])
    images = images / np.linalg.norm(images, axis=1, keepdims=True)
    queries, total = len(np.asarray(query)), len(images)
    distance = 2.0 - 2.0 * (images @ images.T)
    distance = np.maximum(distance, 0.0)
    distance = distance / distance.max(axis=1, keepdims=True)
    order = np.argsort(-(images @ images.T), axis=1, kind="stable")
    code = np.zeros((total, total), codes)
    for image in range(total):
        expanded = reciprocal(order, image, k1)
        mutual = expanded
        for neighbour in mutual:
            theirs = reciprocal(order, neighbour, int(np.around(k1 / 2)))
            if len(np.intersect1d(theirs, mutual)) > 2 / 3 * len(theirs):
                expanded = np.union1d(expanded, theirs)
        weights = np.exp(-distance[image, expanded])
        code[image, expanded] = weights / weights.sum()
    if k2 > 1:
        code = np.stack([code[order[image, :k2]].mean(axis=0) for image in range(total)])
    holders = [np.where(code[:, column] != 0)[0] for column in range(total)]
    jaccard = np.zeros((queries, total), codes)
    for image in range(queries):
        shared = np.zeros(total, codes)
        for column in np.where(code[image] != 0)[0]:
            others = holders[column]
            shared[others] += np.minimum(code[image, column], code[others, column])
        jaccard[image] = 1.0 - shared / (2.0 - shared)
    final: Array = jaccard[:, queries:] * (1.0 - weight) + distance[:queries, queries:] * weight
    return final


def reciprocal(order: npt.NDArray[np.int64], image: int, k: int) -> npt.NDArray[np.int64]:
    """Return the neighbours of an image, among its k nearest and itself, that have it among theirs."""
    forward = order[image, : k + 1]
    found: npt.NDArray[np.int64] = forward[(order[forward, : k + 1] == image).any(axis=1)]
    return found
