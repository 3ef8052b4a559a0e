"""The systems' modules one position, stripe or image at a time, as their papers read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def non_local(theta: Array, phi: Array, g: Array) -> Array:
    """y_i = 1/n sum_j (theta_i . phi_j) g_j for maps (inner, n)."""
    inner, n = theta.shape
    y = np.zeros((inner, n))
    for i in range(n):
        for j in range(n):
            y[:, i] += math.fsum(theta[k, i] * phi[k, j] for k in range(inner)) / n * g[:, j]
    return y


def stripe(features: Array, number: int, count: int, power: float) -> Array:
    """Generalised mean (c,) of stripe ``number`` of ``count`` of a map (c, h, w): the rows it touches."""
    channels, height, width = features.shape
    rows = [y for y in range(height) if (y + 1) * count > number * height and y * count < (number + 1) * height]
    values = np.zeros(channels)
    for c in range(channels):
        total = math.fsum(max(float(features[c, y, x]), 0) ** power for y in rows for x in range(width))
        values[c] = (total / (len(rows) * width) + 1e-12) ** (1 / power)
    return values


def exchanged(image: npt.NDArray[np.uint8], choice: int) -> npt.NDArray[np.uint8]:
    """(3, h, w) with its red, green, blue (0, 1, 2) or grey (3) in every channel; -1: as it is."""
    if choice < 0:
        return image
    result = np.empty_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            red, green, blue = (int(v) for v in image[:, y, x])
            grey = round(0.299 * red + 0.587 * green + 0.114 * blue)
            result[:, y, x] = (red, green, blue, grey)[choice]
    return result


def intermediate(features: Array, gamma: Array, beta: Array, gate: Array) -> Array:
    """Bridge: relu(g F + (1 - g) (gamma (F - mean) / deviation + beta)) of one map (c, h, w)."""
    result = np.empty_like(features)
    for c, channel in enumerate(features):
        mean = channel.mean()
        deviation = math.sqrt(((channel - mean) ** 2).mean() + 1e-5)
        dressed = gamma[c] * (channel - mean) / deviation + beta[c]
        result[c] = np.maximum(gate[c] * channel + (1 - gate[c]) * dressed, 0)
    return result


def centre(rows: Array, labels: Sequence[int], kinds: Sequence[int], label: int, wanted: Sequence[int]) -> Array:
    """Mean of the normalised rows of one identity of the wanted kinds."""
    chosen = [
        row / math.sqrt((row**2).sum())
        for row, x, kind in zip(rows, labels, kinds, strict=True)
        if x == label and kind in wanted
    ]
    return np.asarray(np.mean(chosen, axis=0))


def channel_aggregation(theta: Array, phi: Array, g: Array) -> Array:
    """DEEN: y_a = 1/c sum_b (theta_a . phi_b) g_b over channels, theta and phi (c, n), g (c, m)."""
    y = np.zeros_like(g)
    for a in range(len(theta)):
        for b in range(len(phi)):
            y[a] += math.fsum(theta[a] * phi[b]) / len(phi) * g[b]
    return y


def position_aggregation(theta: Array, phi: Array, g: Array) -> Array:
    """DEEN: y_i = 1/n sum_j (theta_i . phi_j) g_j, where each half of a channel's positions is a channel of its own."""

    def column(x: Array, i: int) -> list[float]:
        half = x.shape[1] // 2
        return [float(x[c, part * half + i]) for c in range(len(x)) for part in (0, 1)]

    result = np.zeros_like(theta)
    half, half_low = theta.shape[1] // 2, g.shape[1] // 2
    for i in range(half):
        total = np.zeros(2 * len(g))
        for j in range(half_low):
            same = math.fsum(a * b for a, b in zip(column(theta, i), column(phi, j), strict=True))
            total += same / half_low * np.array(column(g, j))
        for c in range(len(g)):
            result[c, i], result[c, half + i] = total[2 * c], total[2 * c + 1]
    return result


def adapted(x: Array, masks: Array, kernel: Array) -> Array:
    """MCJA: for a map (c, n), score maps (m, n) and kernel (c, m): sum_m k_cm sum_n softmax(score_m)_n x_cn, (c,)."""
    result = np.zeros(len(x))
    for c in range(len(x)):
        for m in range(len(masks)):
            weights = [math.exp(v - max(masks[m])) for v in masks[m]]
            seen = math.fsum(w * v for w, v in zip(weights, x[c], strict=True)) / math.fsum(weights)
            result[c] += kernel[c, m] * seen
    return result
