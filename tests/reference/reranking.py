"""k-reciprocal re-ranking in the shape everyone uses: full matrices, one image at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Array = npt.NDArray[np.float64]


def k_reciprocal_distance(
    query: npt.ArrayLike,
    gallery: npt.ArrayLike,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    *,
    exact: bool = True,
    pairwise: bool = False,
) -> Array:
    """Return the (queries, gallery) distances.

    ``exact`` keeps everything in float64; without it distances are float32 and encodings float16. ``pairwise`` has
    SciPy measure one pair of images after the other and keeps distances in float16, too. The scripts that
    everyone copies do so, with ``exact=False``; most of their time goes into these distances.
    """
    number, short = (np.float64, np.float64) if exact else (np.float32, np.float16)
    images = np.concatenate([np.asarray(query, number), np.asarray(gallery, number)])
    images = images / np.linalg.norm(images, axis=1, keepdims=True)
    queries, total = len(np.asarray(query)), len(images)
    if pairwise:
        distance = np.square(cdist(images, images).astype(short))
    else:
        distance = np.maximum(2 - 2 * (images @ images.T), 0)
    distance = np.transpose(distance / distance.max(axis=0))
    order = np.argsort(distance, axis=1, kind="stable" if exact else None).astype(np.int32)
    code = np.zeros_like(distance, dtype=short)
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
        averaged = np.zeros_like(code)
        for image in range(total):
            averaged[image] = np.mean(code[order[image, :k2]], axis=0)
        code = averaged
    holders = [np.where(code[:, column] != 0)[0] for column in range(total)]
    jaccard = np.zeros((queries, total), short)
    for image in range(queries):
        shared = np.zeros(total, short)
        for column in np.where(code[image] != 0)[0]:
            others = holders[column]
            shared[others] += np.minimum(code[image, column], code[others, column])
        jaccard[image] = 1.0 - shared / (2.0 - shared)
    final: Array = jaccard[:, queries:] * (1.0 - weight) + distance[:queries, queries:] * weight
    return final


def reciprocal(order: npt.NDArray[np.int32], image: int, k: int) -> npt.NDArray[np.int32]:
    """Return the neighbours of an image, among its k nearest and itself, that have it among theirs."""
    forward = order[image, : k + 1]
    found: npt.NDArray[np.int32] = forward[(order[forward, : k + 1] == image).any(axis=1)]
    return found
