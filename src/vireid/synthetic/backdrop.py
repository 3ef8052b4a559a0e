"""The background: the floor and wall of each camera.

Backdrops depend on the seed of the site and the camera, never on identities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vireid.synthetic.geometry import Window
from vireid.synthetic.identity import stream
from vireid.synthetic.view import View

SIDE = 64  # cells along each side of a texture, which repeats beyond
CELL = 0.12  # metres


@dataclass(frozen=True)
class Backdrop:
    """Floor and wall as seen by the pixels of a batch.

    ``surface`` (bands, n, h, w): bands of `textures`; ``on_floor`` (n, h, 1) bool, else on the wall; ``point``: x
    (n, h, w), y and z (n, h, 1) in the world, metres; ``depth`` (n, h, 1) along the camera's axis, metres;
    ``stretch`` (n, h, w): the square of a ray's length per unit of depth.
    """

    surface: Tensor
    on_floor: Tensor
    point: tuple[Tensor, Tensor, Tensor]
    depth: Tensor
    stretch: Tensor


@lru_cache(maxsize=64)
def textures(seed: int, number: int) -> npt.NDArray[np.float32]:
    """Return floor and wall (2, 64, 64, 5) of a camera: reflectances of red, green, blue and near infrared, and the
    warmth of each spot as a share in [0, 1]."""
    rng = stream(seed, 4, number)
    floor, wall = _paint(rng, rng.uniform(0.35, 0.6)), _paint(rng, rng.uniform(0.45, 0.75))
    tile = int(rng.choice([4, 8, 16]))
    joint = float(rng.uniform(0.75, 0.95))
    floor[::tile] *= joint
    floor[:, ::tile] *= joint
    for _ in range(7):  # doors, windows, boards
        x, y, width, height = (int(value) for value in rng.integers((0, 0, 4, 6), (SIDE, 24, 14, 26)))
        height = min(height, SIDE - y)
        wall[y : y + height, np.arange(x, x + width) % SIDE] = _paint(rng, rng.uniform(0.25, 0.85))[:height, :width]
    wall[:2] *= 0.6  # skirting board
    return np.stack([floor, wall]).astype(np.float32) ** 2


def _paint(rng: np.random.Generator, level: float) -> npt.NDArray[np.float64]:
    """Return a mottled surface of one colour and one warmth, on a perceptual scale."""
    colour = np.append(level + rng.uniform(-0.035, 0.035, size=4), rng.uniform(0.35, 0.65))
    coarse = np.repeat(np.repeat(rng.uniform(-1, 1, (8, 8)), 8, axis=0), 8, axis=1)
    grain = 0.02 * coarse + 0.02 * rng.uniform(-1, 1, (SIDE, SIDE))
    return np.asarray(np.clip(colour + grain[:, :, None], 0.05, 0.95))


def backdrop(
    views: Sequence[View],
    windows: Sequence[Window],
    rows: int,
    columns: int,
    bands: slice,
    device: torch.device,
) -> Backdrop:
    """Intersect the rays of the pixels with floor and wall, behind the people. ``bands`` selects from `textures`."""

    def each(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=device).float()[:, None, None]

    cameras = [view.camera for view in views]
    u = each([w.left for w in windows]) + each([w.width / columns for w in windows]) * _centres(columns, device)
    v = each([w.top for w in windows]) + each([w.height / rows for w in windows]) * _centres(rows, device)[:, None]
    sine, cosine = each([math.sin(c.pitch) for c in cameras]), each([math.cos(c.pitch) for c in cameras])
    stand, wall = each([c.height for c in cameras]), each([c.wall for c in cameras])
    # y and z of the ray in the world: constant along a row
    forward, fall = cosine - v * sine, -sine - v * cosine
    to_wall = wall / forward
    to_floor = torch.where(fall < -1e-3, stand / -fall.clamp(max=-1e-3), 1e9)
    on_floor = to_floor < to_wall
    depth = torch.minimum(to_floor, to_wall)
    x, y, z = u * depth, forward * depth, stand + fall * depth
    tables = np.stack([textures(c.seed, c.number)[..., bands] for c in cameras])
    table = torch.as_tensor(tables, device=device).flatten(0, 3).t().contiguous()
    first = torch.arange(len(views), device=device)[:, None, None] * 2 + torch.where(on_floor, 0, 1)
    surface = interpolate(table, first, x / CELL, torch.where(on_floor, y, z) / CELL)
    return Backdrop(surface, on_floor, (x, y, z), depth, 1.0 + u * u + v * v)


def _centres(count: int, device: torch.device) -> Tensor:
    return torch.arange(count, dtype=torch.float32, device=device) + 0.5


def interpolate(table: Tensor, first: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """Interpolate between the four cells around (across, along) of texture ``first``; textures repeat.

    ``table`` has the shape (bands, textures * 4096), the others share one shape; the result is (bands, that shape).
    """
    left, low = across.floor(), along.floor()
    right_share, high_share = across - left, along - low
    column = left.long() & (SIDE - 1)
    row = low.long() & (SIDE - 1)
    beside, above = (column + 1) & (SIDE - 1), (row + 1) & (SIDE - 1)
    lower, upper = (first * SIDE + row) * SIDE, (first * SIDE + above) * SIDE

    def cell(index: Tensor) -> Tensor:
        return table.index_select(1, index.flatten()).view(-1, *index.shape)

    bottom = cell(lower + column) * (1.0 - right_share) + cell(lower + beside) * right_share
    top = cell(upper + column) * (1.0 - right_share) + cell(upper + beside) * right_share
    return bottom * (1.0 - high_share) + top * high_share
