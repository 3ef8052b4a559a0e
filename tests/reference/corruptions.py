"""The six corruptions one image and one pixel at a time. The random numbers are drawn as the fast forms draw them."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from vireid.types import Modality

NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)
BLUR = (1, 2, 3, 4, 6)
JPEG = (25, 18, 15, 10, 7)
FOG = (0.4, 0.7, 1.0, 1.5, 2.2)
KINDS = ("Gaussian noise", "blur", "low light", "occlusion", "JPEG", "fog")


def corrupted(image: np.ndarray, kind: str, strength: int, modality: Modality, seed: int) -> np.ndarray:
    """Corrupt (3, h, w) uint8."""
    random = np.random.default_rng((seed, KINDS.index(kind)))
    functions = (noise, blur, low_light, occlusion, jpeg, fog)
    return functions[KINDS.index(kind)](image, strength, modality is Modality.INFRARED, random)


def quantised(value: float) -> int:
    return min(255, max(0, round(value)))


def every(image: np.ndarray, value) -> np.ndarray:
    out = np.zeros_like(image)
    for c in range(3):
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                out[c, y, x] = quantised(value(c, y, x))
    return out


def noise(image, strength, infrared, random):
    drawn = random.standard_normal((1 if infrared else 3, *image.shape[1:]), dtype=np.float32)
    return every(image, lambda c, y, x: image[c, y, x] + 255 * NOISE[strength - 1] * drawn[0 if infrared else c, y, x])


def blur(image, strength, infrared, random):
    height, width = image.shape[1:]
    sigma = BLUR[strength - 1] / 224 * height
    reach = range(-max(1, round(3 * sigma)), max(1, round(3 * sigma)) + 1)
    weights = {(a, b): math.exp(-(a * a + b * b) / (2 * sigma**2)) for a in reach for b in reach}
    total = sum(weights.values())

    def value(c, y, x):
        near = (
            w * image[c, min(max(y + a, 0), height - 1), min(max(x + b, 0), width - 1)] for (a, b), w in weights.items()
        )
        return sum(near) / total

    return every(image, value)


def low_light(image, strength, infrared, random):
    photons = 1000 / 2 ** (strength / 2 if infrared else strength)
    seen = image.astype(float)
    if infrared:
        seen = (seen[:1] + seen[1:2] + seen[2:]) / 3
    counted = random.poisson(photons * (seen / 255) ** 2.2) / 1000
    return every(image, lambda c, y, x: 255 * counted[0 if infrared else c, y, x] ** (1 / 2.2))


def occlusion(image, strength, infrared, random):
    height, width = image.shape[1:]
    h, w = round(math.sqrt(strength / 10) * height), round(math.sqrt(strength / 10) * width)
    down, across = random.random(2)
    top, left = math.floor(down * (height - h + 1)), math.floor(across * (width - w + 1))
    colour = random.integers(0, 256, (1 if infrared else 3, 1, 1), dtype=np.uint8)

    def value(c, y, x):
        inside = top <= y < top + h and left <= x < left + w
        return colour[0 if infrared else c, 0, 0] if inside else image[c, y, x]

    return every(image, value)


def jpeg(image, strength, infrared, random):
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    (picture.convert("L") if infrared else picture).save(buffer, "JPEG", quality=JPEG[strength - 1])
    return np.array(Image.open(buffer).convert("RGB")).transpose(2, 0, 1)


def fog(image, strength, infrared, random):
    height, width = image.shape[1:]
    grid = random.uniform(0.5, 1.5, (6, 3))

    def depth(y, x):
        down, across = y * 5 / (height - 1), x * 2 / (width - 1)
        i, j = min(int(down), 4), min(int(across), 1)
        a, b = down - i, across - j
        upper = (1 - b) * grid[i, j] + b * grid[i, j + 1]
        lower = (1 - b) * grid[i + 1, j] + b * grid[i + 1, j + 1]
        return (1 - a) * upper + a * lower

    def value(c, y, x):
        through = math.exp(-FOG[strength - 1] * depth(y, x))
        light = 255 * 0.85
        if infrared:
            v, u = 2 * y / (height - 1) - 1, 2 * x / (width - 1) - 1
            light = 255 * 0.7 * (1 - 0.25 * (u * u + v * v))
        return through * image[c, y, x] + (1 - through) * light

    return every(image, value)
