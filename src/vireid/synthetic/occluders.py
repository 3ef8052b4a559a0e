"""Occluders on the floor between camera and person: posts, rails, bins, benches and parked bicycles."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vireid.synthetic.materials import BOTTOMS, Garment, Material, dye, texture
from vireid.synthetic.shapes import RIGHT, UP, Point, Shapes

SPOKES = 12  # corners of a wheel
WARMTH = 0.15  # of sun-warmed metal and wood, from the temperature of the air (0) to that of skin (1)


class Thing(enum.Enum):
    POST = "post"
    RAIL = "rail"
    BIN = "bin"
    BENCH = "bench"
    BICYCLE = "bicycle"


@dataclass(frozen=True)
class Occluder:
    """An object at ground position ``place`` (world frame, metres), turned by ``yaw`` radians from facing the camera.

    ``height`` and ``width`` are in metres; a bicycle's width is its wheelbase. ``paint`` covers all of it.
    """

    thing: Thing
    place: tuple[float, float]
    yaw: float
    height: float
    width: float
    paint: Material


# smallest and largest height, then width, in metres
SIZES = {
    Thing.POST: ((0.7, 2.6), (0.08, 0.2)),
    Thing.RAIL: ((0.8, 1.1), (1.2, 2.4)),
    Thing.BIN: ((0.5, 0.95), (0.35, 0.7)),
    Thing.BENCH: ((0.75, 0.95), (1.1, 1.7)),
    Thing.BICYCLE: ((0.95, 1.1), (0.95, 1.1)),
}


def sample_occluder(rng: np.random.Generator, place: tuple[float, float], level: float) -> Occluder | None:
    """Draw the object, if any, that hides part of a person at ``place``: likelier and larger for a higher ``level`` in
    [0, 1]."""
    present = float(rng.random()) < 0.4 * level
    thing = list(Thing)[int(rng.integers(len(Thing)))]
    height, width = (low + (high - low) * (0.3 + 0.7 * level) * float(rng.random()) for low, high in SIZES[thing])
    ahead, aside = float(rng.uniform(0.9, 1.3)), float(rng.uniform(-0.3, 0.3))
    yaw, paint = float(rng.uniform(-0.2, 0.2)), dye(rng, BOTTOMS, 0.7)
    if not present:
        return None
    return Occluder(thing, beside(place, -ahead, aside), yaw, height, width, paint)


def beside(place: tuple[float, float], behind: float, aside: float) -> tuple[float, float]:
    """Return the ground position ``behind`` metres behind ``place`` and ``aside`` metres to its right, as seen by a
    camera above the origin."""
    far = math.hypot(*place)
    x, y = place[0] / far, place[1] / far
    return place[0] + behind * x + aside * y, place[1] + behind * y - aside * x


def assemble(occluder: Occluder) -> Shapes:
    """Return the primitives of ``occluder`` in its own frame: the origin on the ground, y to its front, z up."""
    shapes = Shapes()
    paint = texture(Garment.plain(occluder.paint), WARMTH)
    _ASSEMBLE[occluder.thing](shapes, occluder.height, occluder.width, paint)
    return shapes


def _post(shapes: Shapes, height: float, width: float, paint: tuple[float, ...]) -> None:
    radius = 0.5 * width
    shapes.tube((0.0, 0.0, 0.0), (0.0, 0.0, height), radius, radius, paint)
    shapes.ball((0.0, 0.0, height), (radius, radius, 0.4 * radius), paint)


def _rail(shapes: Shapes, height: float, width: float, paint: tuple[float, ...]) -> None:
    half = 0.5 * width
    for x in (-half, 0.0, half):
        _bar(shapes, (x, 0.0, 0.0), (x, 0.0, height), 0.025, paint)
    for z in (0.5 * height, height):
        _bar(shapes, (-half, 0.0, z), (half, 0.0, z), 0.03, paint)


def _bin(shapes: Shapes, height: float, width: float, paint: tuple[float, ...]) -> None:
    radius = 0.5 * width
    shapes.tube((0.0, 0.0, 0.0), (0.0, 0.0, height), 0.85 * radius, radius, paint, flat=0.7)
    shapes.ball((0.0, 0.0, height), (1.04 * radius, 0.73 * radius, 0.05), paint)


def _bench(shapes: Shapes, height: float, width: float, paint: tuple[float, ...]) -> None:
    half, seat = 0.5 * width, 0.45
    for y, z in ((0.2, seat), (0.06, seat), (-0.08, seat), (-0.2, height - 0.16), (-0.22, height)):
        _bar(shapes, (-half, y, z), (half, y, z), 0.025 if z == seat else 0.05, paint, flat=2.2 if z == seat else 0.4)
    for x in (-0.8 * half, 0.8 * half):
        _bar(shapes, (x, 0.2, 0.0), (x, 0.2, seat), 0.025, paint)
        _bar(shapes, (x, -0.14, 0.0), (x, -0.22, height), 0.025, paint)


def _bicycle(shapes: Shapes, height: float, width: float, paint: tuple[float, ...]) -> None:
    """Add a bicycle with two wheels ``width`` apart and the handlebar at ``height``."""
    radius, half = 0.34, 0.5 * width
    crank, seat, head = (-0.08, 0.0, 0.28), (-0.2, 0.0, 0.9 * height), (0.72 * half, 0.0, height)
    rim = [
        (radius * math.cos(turn), radius * math.sin(turn))
        for turn in (2.0 * math.pi * corner / SPOKES for corner in range(SPOKES + 1))
    ]
    for hub in (-half, half):
        for (x, z), (next_x, next_z) in pairwise(rim):
            _bar(shapes, (hub + x, 0.0, radius + z), (hub + next_x, 0.0, radius + next_z), 0.02, paint)
    neck = (0.76 * half, 0.0, 0.72 * height)
    ends = (((-half, 0.0, radius), crank), (crank, seat), (crank, neck), (neck, (seat[0], 0.0, 0.68 * height)))
    for start, end in (*ends, ((-half, 0.0, radius), seat), ((half, 0.0, radius), head)):
        _bar(shapes, start, end, 0.018, paint)
    _bar(shapes, (head[0], -0.25, height), (head[0], 0.25, height), 0.015, paint)
    shapes.ball(seat, (0.13, 0.07, 0.035), paint)


def _bar(
    shapes: Shapes, start: Point, end: Point, radius: float, paint: tuple[float, ...], *, flat: float = 1.0
) -> None:
    """Add a tube; ``flat`` is depth / height of a horizontal one."""
    shapes.tube(start, end, radius, radius, paint, flat=flat, side=UP if start[2] == end[2] else RIGHT)


_ASSEMBLE = {
    Thing.POST: _post,
    Thing.RAIL: _rail,
    Thing.BIN: _bin,
    Thing.BENCH: _bench,
    Thing.BICYCLE: _bicycle,
}
