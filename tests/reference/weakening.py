"""Dynamic feature weakening, eq. 1-3, one position at a time in double precision."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def response(image: Array) -> Array:
    """Eq. 1 of one feature map (c, h, w): (h, w)."""
    channels, height, width = image.shape
    f = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            column = [float(image[c, i, j]) for c in range(channels)]
            f[i, j] = math.fsum(column) / channels + max(column)
    return f


def weakening_matrix(f: Array, matrix: str, alpha: float, beta: float) -> Array:
    """Eq. 2 of one response map (h, w), by the readings of the project."""
    positions = [(i, j) for i in range(f.shape[0]) for j in range(f.shape[1])]
    values = [float(f[p]) for p in positions]
    if matrix == "D2":
        low, high = min(values), max(values)
        compared = [(v - low) / (high - low) if high > low else 0.0 for v in values]
        threshold = beta
    else:
        compared, threshold = values, math.fsum(values) / len(values)
    strong = [v >= threshold for v in compared]
    factor = alpha if matrix == "D1" else sum(strong) / len(strong)
    result = np.ones(f.shape)
    for position, is_strong in zip(positions, strong, strict=True):
        if is_strong:
            result[position] = factor
    return result


def weaken(features: Array, matrix: str, alpha: float, beta: float, gate: str) -> Array:
    """Eq. 3 over (b, c, h, w), in each of its readings."""
    output = np.empty_like(features)
    for b, image in enumerate(features):
        f = response(image)
        weight = weakening_matrix(f, matrix, alpha, beta)
        for c, i, j in np.ndindex(*image.shape):
            value, factor = image[c, i, j], weight[i, j]
            if gate == "features":
                output[b, c, i, j] = sigmoid(value * factor)
            elif gate == "sigmoid":
                output[b, c, i, j] = value * sigmoid(f[i, j] * factor)
            else:
                output[b, c, i, j] = value * factor
    return output


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
