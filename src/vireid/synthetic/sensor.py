"""From light to grey levels: the shutter, the optics, the sensor with its noise, and the size of the picture.

A sensor may have fewer rows than the picture: noise and rounding happen on the sensor's pixels, and the result is
enlarged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from vireid.synthetic.identity import stream
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.view import View

LEVELS = 4096
MOMENTS = 9  # while the shutter is open; odd, so that one is the middle
STEPS = 8  # the rows of a sensor are a multiple of 1/8 of the picture's
COARSE = (6, 4)  # rows and columns of the grid on which a thermal sensor's low-frequency noise is drawn
BLUR = (0.0625, 0.25, 0.375, 0.25, 0.0625)  # of thermal optics: the fourth row of Pascal's triangle


def _curve() -> npt.NDArray[np.float32]:
    """Return the sRGB transfer curve: the grey level (0 to 255) for linear light in 4096 steps from 0 to 1."""
    light = [index / (LEVELS - 1) for index in range(LEVELS)]
    code = [12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055 for x in light]
    return np.round(np.array(code) * 255.0, 2).astype(np.float32)


def _bell() -> npt.NDArray[np.float32]:
    """Return the 256 middle quantiles of a normal distribution; a random byte selects one."""
    from statistics import NormalDist

    return np.round([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)], 4).astype(np.float32)


CURVE, BELL = _curve(), _bell()


def sensor_size(view: View, spectrum: Spectrum, height: int, width: int) -> tuple[int, int]:
    """Return the rows and columns of the sensor for a picture of ``height`` x ``width``, at least 8 each.

    Sizes are in eighths, so that pictures can share a batch. A thermal sensor has at most half the rows.
    """
    share = max(1, math.floor(view.native * STEPS + 0.5)) / STEPS
    if spectrum is Spectrum.THERMAL:
        share = min(share, 0.5)
    return max(8, math.floor(height * share + 0.5)), max(8, math.floor(width * share + 0.5))


def open_shutter(light: Tensor, covered: Tensor, person: Tensor, behind: Tensor, views: Sequence[View]) -> Tensor:
    """Composite people and objects over the background ``behind`` (c, n, h, w), in linear light; the person moves.

    ``light`` (c, n, h, w) is premultiplied by ``covered`` (n, h, w), the share of a pixel that anything covers;
    ``person`` (n, h, w) is the share that the person covers. Everything but the person stays sharp.
    """
    blended = light + behind * (1.0 - covered)
    rows, columns = person.shape[1:]
    for index, view in enumerate(views):
        moves = _moves(view, rows, columns)
        if len(moves) == 1:
            continue
        seen, hidden = person[index], covered[index] - person[index]
        mine = light[:, index] * (seen / covered[index].clamp(min=1e-6))
        # pixels of something that hides the person say nothing about the person: average over the others
        mean = _average(torch.cat([mine, seen[None], 1.0 - hidden[None]]), moves)
        moved, cover, known = mean[:-2], mean[-2], mean[-1].clamp(min=1e-6)
        static = behind[:, index]
        smeared = static + (moved - static * cover) / known
        blended[:, index] = (light[:, index] - mine) + smeared * (1.0 - hidden)
    return blended


def _moves(view: View, rows: int, columns: int) -> Counter[tuple[int, int]]:
    """Return the shifts of the person in pixels (down, right), and the number of moments with each."""
    across, down = view.motion
    ticks = [tick / (MOMENTS - 1) - 0.5 for tick in range(MOMENTS)]
    moves = ((math.floor(down * rows * t + 0.5), math.floor(across * rows * t + 0.5)) for t in ticks)
    return Counter((max(-rows, min(rows, d)), max(-columns, min(columns, r))) for d, r in moves)


def _average(planes: Tensor, moves: Counter[tuple[int, int]]) -> Tensor:
    """Average (c, h, w) planes over their shifted copies; the edge pixels are repeated beyond the edge."""
    rows, columns = planes.shape[1:]
    down, right = (max(abs(move[axis]) for move in moves) for axis in (0, 1))
    wide = pad(planes[None], (right, right, down, down), mode="replicate")[0]
    total = torch.zeros_like(planes)
    for (d, r), count in moves.items():
        total += wide[:, down - d : down - d + rows, right - r : right - r + columns] * (count / MOMENTS)
    return total


def expose(light: Tensor, views: Sequence[View], spectrum: Spectrum) -> Tensor:
    """Turn linear light (channels, n, h, w) into grey levels (n, h, w, channels) uint8: exposure, transfer curve,
    noise.

    Shot noise grows with the root of the light, which the transfer curve compensates, so one level of noise serves
    bright and dark places. It grows with the root of the gain.
    """
    channels, count, rows, columns = light.shape
    device = light.device
    gain = [view.exposure if spectrum is Spectrum.VISIBLE else 1.0 for view in views]
    exposure = torch.tensor(gain, dtype=torch.float64, device=device).float()[:, None, None]
    index = (light * exposure).clamp(0.0, 1.0) * (LEVELS - 1) + 0.5
    code = torch.as_tensor(CURVE, device=device).index_select(0, index.int().flatten()).view(light.shape)
    grain = np.empty((count, rows * columns * channels), dtype=np.float32)
    for noise, view, amplified in zip(grain, views, gain, strict=True):
        np.multiply(_draw(view, spectrum, noise.size), np.float32(view.noise * math.sqrt(amplified)), out=noise)
    grains = torch.as_tensor(grain, device=device).view(count, rows, columns, channels)
    return _quantise(code.permute(1, 2, 3, 0) + grains)


def develop(heat: Tensor, views: Sequence[View]) -> Tensor:
    """Turn temperatures (1, n, h, w) in degrees Celsius into a thermal camera's grey levels (n, h, w, 1) uint8.

    This models soft optics, a gain set for each image, and three kinds of noise that grow with the gain: per pixel, per
    column and of low frequency.
    """
    _, count, rows, columns = heat.shape
    device = heat.device
    fine = np.empty((count, rows, columns, 1), dtype=np.float32)
    slow = np.empty((count, *COARSE, 1), dtype=np.float32)
    for index, view in enumerate(views):
        noise = np.float32(view.noise * math.sqrt(24.0 / view.span))
        draws = _draw(view, Spectrum.THERMAL, rows * columns + columns + slow[index].size) * noise
        grain, stripes, drift = np.split(draws, [rows * columns, rows * columns + columns])
        fine[index] = (0.4 * grain.reshape(rows, columns) + 0.25 * stripes)[:, :, None]
        slow[index] = drift.reshape(slow[index].shape)
    white = torch.tensor([view.warmest for view in views], dtype=torch.float64, device=device).float()
    span = torch.tensor([view.span for view in views], dtype=torch.float64, device=device).float()
    level = (_soften(heat[0]) - white[:, None, None]) / span[:, None, None] * 255.0 + 255.0
    drifts = enlarge(torch.as_tensor(slow, device=device), rows, columns)
    return _quantise(level[..., None] + drifts + torch.as_tensor(fine, device=device))


def _draw(view: View, spectrum: Spectrum, count: int) -> npt.NDArray[np.float32]:
    """Return ``count`` normally distributed numbers that belong to one image."""
    rng = stream(view.key[0], *view.key[1:], tuple(Spectrum).index(spectrum))
    return BELL[np.frombuffer(rng.bytes(count), dtype=np.uint8)]


def _quantise(levels: Tensor) -> Tensor:
    return (levels + 0.5).clamp(0.0, 255.0).to(torch.uint8)


def _soften(image: Tensor) -> Tensor:
    """Blur (n, h, w) along both axes."""
    rows, columns = image.shape[1:]
    reach = len(BLUR) // 2
    wide = pad(image[None], (reach, reach, reach, reach), mode="replicate")[0]
    tall = sum((wide[:, i : i + rows] * share for i, share in enumerate(BLUR)), torch.zeros(()))
    return sum((tall[:, :, i : i + columns] * share for i, share in enumerate(BLUR)), torch.zeros(()))


def enlarge(image: Tensor, height: int, width: int) -> Tensor:
    """Interpolate float images (n, h, w, c) to (n, height, width, c), between the four nearest pixels."""
    rows, columns = image.shape[1:3]
    for axis, old, new in ((1, rows, height), (2, columns, width)):
        if old == new:
            continue
        first, second, share = (torch.as_tensor(part, device=image.device) for part in _between(old, new))
        share = share.view(-1, *[1] * (3 - axis))
        low = image.index_select(axis, first)
        image = low + share * (image.index_select(axis, second) - low)
    return image


def _between(old: int, new: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return, for each of ``new`` pixels, its two neighbours among the ``old`` and the weight of the second."""
    place = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0.0, old - 1.0)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, old - 1), (place - first).astype(np.float32)


def fit(codes: Tensor, height: int, width: int) -> Tensor:
    """Resize a sensor's grey levels (n, h, w, c) uint8 to the picture's size and expand them to three channels."""
    if codes.shape[1:3] != (height, width):
        codes = _quantise(enlarge(codes.float(), height, width))
    return codes.expand(-1, -1, -1, 3)


def fit_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """Resize a mask (n, h, w) to the picture's size: every pixel takes the nearest sensor pixel."""
    for axis, size in ((1, height), (2, width)):
        if mask.shape[axis] != size:
            nearest = np.arange(size) * 2 + 1
            source = torch.as_tensor(nearest * mask.shape[axis] // (2 * size), device=mask.device)
            mask = mask.index_select(axis, source)
    return mask
