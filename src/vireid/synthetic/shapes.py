"""Analytic 3D primitives: pieces of quadric shells, as rows of one array.

In its own frame (p = scale . axes . (world - centre)) a primitive is the surface x^2 + y^2 = k0 + k1 z + k2
z^2 with bottom <= z <= top and y <= front: ellipsoids and their caps, cones, cylinders, bands, open coats.
Shells have no lids, so sleeves and skirts end in real hems and one can look into them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Point = tuple[float, float, float]

UP: Point = (0.0, 0.0, 1.0)
RIGHT: Point = (1.0, 0.0, 0.0)
LEFT: Point = (-1.0, 0.0, 0.0)  # the width's direction that keeps y forward in a tube that runs downwards
CLOSED = 4.0  # beyond every |y| of a shell in its own frame: nothing is cut from its front


@dataclass
class Shapes:
    """Primitives of one scene in the body frame (x to the person's right, y forward, z up, metres)."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    surfaces: list[tuple[float, ...]] = field(default_factory=list)

    def tube(
        self,
        start: Point,
        end: Point,
        radius: float,
        end_radius: float,
        surface: tuple[float, ...],
        *,
        flat: float = 1.0,
        side: Point = RIGHT,
        front: float = CLOSED,
        along: float = 0.0,
        overlap: float = 0.0,
    ) -> None:
        """Add a cone or cylinder without lids. ``flat`` is depth / width, ``side`` the direction of its width.

        ``front`` cuts the shell open where its own y (in radii) is larger; ``along`` is the pattern's
        coordinate at ``start`` in metres; ``overlap`` extends both ends, so that a bent joint has no gap.
        """
        axis = (end[0] - start[0], end[1] - start[1], end[2] - start[2])
        length = (axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2) ** 0.5
        slope = (end_radius / radius - 1.0) / length
        quadric = (1.0, 2.0 * slope, slope * slope)
        self.rows.append(
            (
                *start,
                *axis,
                *side,
                radius,
                radius * flat,
                1.0,
                *quadric,
                -overlap,
                length + overlap,
                front,
                along,
            )
        )
        self.surfaces.append(surface)

    def ball(
        self,
        centre: Point,
        radii: Point,
        surface: tuple[float, ...],
        *,
        axis: Point = UP,
        side: Point = RIGHT,
        keep: tuple[float, float] = (-1.0, 1.0),
        front: float = CLOSED,
        along: float = 0.0,
    ) -> None:
        """Add an ellipsoid with ``radii`` along ``side``, the third direction and ``axis``.

        Only the part with ``keep[0] <= z <= keep[1]`` (in radii along ``axis``) exists.
        """
        self.rows.append((*centre, *axis, *side, *radii, 1.0, 0.0, -1.0, *keep, front, along))
        self.surfaces.append(surface)


@dataclass(frozen=True)
class Frames:
    """Primitives of a batch in numbers, float64: ``frame`` (p, 3, 3) rows are axes divided by scale."""

    centre: Array
    frame: Array
    scale: Array
    quadric: Array
    bottom: Array
    top: Array
    front: Array
    along: Array


def frames(rows: Array) -> Frames:
    """Turn the rows of ``Shapes`` (p, 19) into frames with orthonormal axes.

    It is written out term by term, because a library's matrix product may sum in another order on another machine.
    """
    z = _unit(rows[:, 3:6])
    side = rows[:, 6:9]
    x = _unit(side - _dot(side, z)[:, None] * z)
    y = np.stack([z[:, i] * x[:, j] - z[:, j] * x[:, i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=1)
    scale = rows[:, 9:12]
    axes = np.stack([x, y, z], axis=1)
    return Frames(
        rows[:, 0:3],
        axes / scale[:, :, None],
        scale,
        rows[:, 12:15],
        rows[:, 15],
        rows[:, 16],
        rows[:, 17],
        rows[:, 18],
    )


def corners(shape: Frames) -> Array:
    """Return the corners (p, 8, 3) of a box around each primitive, in the body frame."""
    k0, k1, k2 = shape.quadric.T
    widest = np.maximum(k0 + k1 * shape.top + k2 * shape.top**2, k0 + k1 * shape.bottom + k2 * shape.bottom**2)
    reach = np.sqrt(np.where(k2 < 0, k0, widest))  # an ellipsoid's widest ring is its equator
    found = []
    axes = shape.frame * shape.scale[:, :, None] ** 2
    for x in (-1.0, 1.0):
        for y in (-1.0, 1.0):
            for z in (shape.bottom, shape.top):
                steps = (x * reach, np.minimum(y * reach, shape.front), z)
                found.append(shape.centre + sum(step[:, None] * axes[:, i] for i, step in enumerate(steps)))
    return np.stack(found, axis=1)


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2])


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.sqrt(_dot(vectors, vectors))[:, None])
