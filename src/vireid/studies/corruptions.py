"""Six corruptions of pictures at five strengths, as pure functions of batches.

They follow ImageNet-C (Hendrycks and Dietterich, ICLR 2019), with its strengths for noise, blur and JPEG: lengths are
shares of the image height, light and noise are shares of the full range, so that image size matters little. The result
depends only on the image, its modality and its seed. One seed serves all strengths, so that a stronger corruption is
more of the same and curves are smooth.

Infrared cameras have one channel and, in near infrared, their own lamp. So infrared noise is the same in all three
channels, JPEG has no colour to lose, low light takes half as many stops, and fog reflects the lamp's light, most in the
middle. Fog droplets are larger than both wavelengths, so fog hides as much in both. Thermal cameras (RegDB) see in the
dark and further through fog; for them both corruptions are pessimistic.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from vireid.types import Modality, VireidError

STRENGTHS = (1, 2, 3, 4, 5)
NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)
"""Standard deviation as a share of the full range."""
BLUR = (1 / 224, 2 / 224, 3 / 224, 4 / 224, 6 / 224)
"""Standard deviation of the Gaussian as a share of the height."""
STOPS = (1, 2, 3, 4, 5)
"""Halvings of the light in visible pictures; infrared pictures lose half as many."""
OCCLUSION = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Share of the area behind a rectangle of the picture's shape and of one colour."""
JPEG = (25, 18, 15, 10, 7)
"""Quality."""
FOG = (0.4, 0.7, 1.0, 1.5, 2.2)
"""Mean optical depth over the picture; exp(-depth) of the scene's light gets through."""
PHOTONS = 1000
"""Photons of a white pixel in full light, which make low light noisy."""
GAMMA = 2.2
FOG_LEVEL = {Modality.VISIBLE: 0.85, Modality.INFRARED: 0.7}
FOG_GRID = (6, 3)
"""Grid rows and columns between which the fog's depth varies smoothly, from 0.5 to 1.5 times the mean."""

Random = np.random.Generator


def gaussian_noise(images: Tensor, strength: int, modality: Modality, randoms: Sequence[Random]) -> Tensor:
    """Add normal noise to every value."""
    shape = (_channels(modality), *images.shape[2:])
    drawn = np.stack([random.standard_normal(shape, dtype=np.float32) for random in randoms])
    return _quantised(images + 255 * NOISE[strength - 1] * torch.from_numpy(drawn))


def blur(images: Tensor, strength: int, modality: Modality, randoms: Sequence[Random]) -> Tensor:
    """Blur with a Gaussian out to three deviations, borders repeated."""
    sigma = BLUR[strength - 1] * images.shape[2]
    radius = max(1, round(3 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel /= kernel.sum()
    planes = images.float().flatten(0, 1)[:, None]
    planes = conv2d(pad(planes, (radius, radius, 0, 0), mode="replicate"), kernel[None, None, None])
    planes = conv2d(pad(planes, (0, 0, radius, radius), mode="replicate"), kernel[None, None, :, None])
    return _quantised(planes[:, 0].unflatten(0, images.shape[:2]))


def low_light(images: Tensor, strength: int, modality: Modality, randoms: Sequence[Random]) -> Tensor:
    """Reduce the light of the scene by stops (in linear light, gamma 2.2) and draw the remaining photons."""
    stops = STOPS[strength - 1] / (2 if modality is Modality.INFRARED else 1)
    photons = PHOTONS / 2**stops
    seen = images.double()
    if modality is Modality.INFRARED:
        seen = seen.mean(dim=1, keepdim=True)
    expected = photons * (seen / 255).pow(GAMMA).numpy()
    counted = np.stack([random.poisson(one) for random, one in zip(randoms, expected, strict=True)]) / PHOTONS
    return _quantised(255 * torch.from_numpy(counted).pow(1 / GAMMA)).expand_as(images).contiguous()


def occlusion(images: Tensor, strength: int, modality: Modality, randoms: Sequence[Random]) -> Tensor:
    """Hide a share of the area behind a rectangle at a random place in the picture."""
    hidden, (height, width) = images.clone(), images.shape[2:]
    side = OCCLUSION[strength - 1] ** 0.5
    h, w = round(side * height), round(side * width)
    for image, random in zip(hidden, randoms, strict=True):
        down, across = random.random(2)  # the same for every strength: the rectangle grows in place
        top, left = int(down * (height - h + 1)), int(across * (width - w + 1))
        colour = random.integers(0, 256, (_channels(modality), 1, 1), dtype=np.uint8)
        image[:, top : top + h, left : left + w] = torch.from_numpy(colour)
    return hidden


def jpeg(images: Tensor, strength: int, modality: Modality, randoms: Sequence[Random]) -> Tensor:
    """Compress and decompress; infrared pictures as greyscale."""
    mode = "L" if modality is Modality.INFRARED else "RGB"
    done = []
    for image in images.permute(0, 2, 3, 1).numpy():
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).convert(mode).save(buffer, "JPEG", quality=JPEG[strength - 1])
        done.append(torch.from_numpy(np.array(Image.open(buffer, formats=("JPEG",)).convert("RGB"))))
    return torch.stack(done).permute(0, 3, 1, 2)


def fog(images: Tensor, strength: int, modality: Modality, randoms: Sequence[Random]) -> Tensor:
    """Let exp(-depth) of the scene's light through and add the light of the fog (Koschmieder's law)."""
    height, width = images.shape[2:]
    drawn = np.stack([random.uniform(0.5, 1.5, FOG_GRID).astype(np.float32) for random in randoms])
    depth = interpolate(torch.from_numpy(drawn)[:, None], size=(height, width), mode="bilinear", align_corners=True)
    through = torch.exp(-FOG[strength - 1] * depth)
    light = torch.full((height, width), 255 * FOG_LEVEL[modality])
    if modality is Modality.INFRARED:
        down, across = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
        light = light * (1 - 0.25 * (down**2 + across**2))
    return _quantised(through * images + (1 - through) * light)


CORRUPTIONS: dict[str, Callable[[Tensor, int, Modality, Sequence[Random]], Tensor]] = {
    "Gaussian noise": gaussian_noise,
    "blur": blur,
    "low light": low_light,
    "occlusion": occlusion,
    "JPEG": jpeg,
    "fog": fog,
}


def corrupt(images: Tensor, kind: str, strength: int, modality: Modality, seeds: npt.NDArray[np.int64]) -> Tensor:
    """Corrupt images (b, 3, h, w) uint8 of one modality on the CPU; the result has the same shape and type.

    Args:
        kind: one of `CORRUPTIONS`.
        strength: 1 to 5.
        seeds: (b,), 0 or more; the random draws for an image depend on its seed and on ``kind``.

    Raises:
        VireidError: an unknown kind or strength.
    """
    if kind not in CORRUPTIONS or strength not in STRENGTHS:
        raise VireidError(f"corruption: expected one of {', '.join(CORRUPTIONS)} at 1 to 5, got {kind} at {strength}")
    number = list(CORRUPTIONS).index(kind)
    randoms = [np.random.default_rng((int(seed), number)) for seed in seeds]
    return CORRUPTIONS[kind](images, strength, modality, randoms)


def _channels(modality: Modality) -> int:
    return 1 if modality is Modality.INFRARED else 3


def _quantised(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)
