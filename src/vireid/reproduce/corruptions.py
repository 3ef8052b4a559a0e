"""Six ways in which a camera's picture goes bad, at five strengths: pure functions of whole batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, pad

NOISE = (0.04, 0.08, 0.12, 0.18, 0.26)  # standard deviation, of the full range
BLUR = (0.004, 0.008, 0.012, 0.018, 0.026)  # standard deviation, of the height
LIGHT = (0.6, 0.45, 0.3, 0.2, 0.12)  # share of the light that is left
OCCLUSION = (0.1, 0.2, 0.3, 0.4, 0.5)  # share of the area that is hidden
JPEG = (40, 25, 15, 8, 4)  # quality
FOG = (0.2, 0.35, 0.5, 0.65, 0.8)  # share of the light that comes from the fog
FOG_LEVEL, HIDDEN_LEVEL = 220.0, 128.0


def gaussian_noise(images: Tensor, strength: int, seeds: Sequence[int]) -> Tensor:
    """Add independent normal noise to every value."""
    shape = images.shape[1:]
    drawn = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    return _quantised(images + 255 * NOISE[strength - 1] * drawn)


def blur(images: Tensor, strength: int, seeds: Sequence[int]) -> Tensor:
    """Blur with a Gaussian, borders repeated."""
    sigma = BLUR[strength - 1] * images.shape[2]
    radius = max(1, round(3 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    planes = images.float().flatten(0, 1)[:, None]
    planes = conv2d(pad(planes, (radius, radius, 0, 0), mode="replicate"), kernel[None, None, None])
    planes = conv2d(pad(planes, (0, 0, radius, radius), mode="replicate"), kernel[None, None, :, None])
    return _quantised(planes[:, 0].unflatten(0, images.shape[:2]))


def low_light(images: Tensor, strength: int, seeds: Sequence[int]) -> Tensor:
    """Leave a share of the light; the picture keeps its 8 bits, so dark levels merge."""
    return _quantised(images * LIGHT[strength - 1])


def occlusion(images: Tensor, strength: int, seeds: Sequence[int]) -> Tensor:
    """Hide a share of the area behind a grey block of the picture's shape, anywhere in it."""
    hidden, (height, width) = images.clone(), images.shape[2:]
    side = OCCLUSION[strength - 1] ** 0.5
    h, w = round(side * height), round(side * width)
    for image, seed in zip(hidden, seeds, strict=True):
        random = np.random.default_rng(seed)
        top, left = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
        image[:, top : top + h, left : left + w] = int(HIDDEN_LEVEL)
    return hidden


def jpeg(images: Tensor, strength: int, seeds: Sequence[int]) -> Tensor:
    """Compress and decompress."""
    done = []
    for image in images.permute(0, 2, 3, 1).numpy():
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=JPEG[strength - 1])
        done.append(torch.from_numpy(np.array(Image.open(buffer).convert("RGB"))))
    return torch.stack(done).permute(0, 3, 1, 2)


def fog(images: Tensor, strength: int, seeds: Sequence[int]) -> Tensor:
    """Mix with the light of even fog."""
    share = FOG[strength - 1]
    return _quantised((1 - share) * images.float() + share * FOG_LEVEL)


CORRUPTIONS: dict[str, Callable[[Tensor, int, Sequence[int]], Tensor]] = {
    "Gaussian noise": gaussian_noise,
    "blur": blur,
    "low light": low_light,
    "occlusion": occlusion,
    "JPEG": jpeg,
    "fog": fog,
}
"""By name: images (b, 3, h, w) uint8, strength 1 to 5, a seed per image -> the same shape and type. An image's result
depends on nothing but itself and its seed."""


def _quantised(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)
