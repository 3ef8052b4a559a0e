"""Gradient of a convolution by its weights, one position and one tap at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def weight_gradient(x: Array, gradient: Array) -> Array:
    """(d, c, 3, 3) of a 3x3 convolution with padding 1: input (b, c, h, w), gradient of the output (b, d, h, w)."""
    batch, channels, height, width = x.shape
    result = np.zeros((gradient.shape[1], channels, 3, 3))
    for image in range(batch):
        for row, column in np.ndindex(height, width):
            for i, j in np.ndindex(3, 3):
                y, z = row + i - 1, column + j - 1
                if 0 <= y < height and 0 <= z < width:
                    result[:, :, i, j] += np.outer(gradient[image, :, row, column], x[image, :, y, z])
    return result
