"""A 3x3 convolution with padding 1 and its gradients, one position and one tap at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def convolution(x: Array, weight: Array, gradient: Array) -> tuple[Array, Array, Array]:
    """Result (b, d, h, w) and the gradients by input (b, c, h, w) and weight (d, c, 3, 3), from that by the result."""
    _, _, height, width = x.shape
    result, to_x, to_weight = np.zeros_like(gradient), np.zeros_like(x), np.zeros_like(weight)
    for image, row, column, i, j in np.ndindex(len(x), height, width, 3, 3):
        y, z = row + i - 1, column + j - 1
        if 0 <= y < height and 0 <= z < width:
            result[image, :, row, column] += weight[:, :, i, j] @ x[image, :, y, z]
            to_x[image, :, y, z] += gradient[image, :, row, column] @ weight[:, :, i, j]
            to_weight[:, :, i, j] += np.outer(gradient[image, :, row, column], x[image, :, y, z])
    return result, to_x, to_weight
