"""One ray against one primitive after the other, in plain Python: what `vireid.synthetic.raster` must find."""

from __future__ import annotations

import math

from vireid.synthetic.geometry import Scene


def first_hit(scene: Scene, image: int, row: int, column: int) -> tuple[int, float] | None:
    """Return the nearest primitive and its depth along the ray through a sample, or None for the backdrop."""
    best: tuple[int, float] | None = None
    for primitive, owner in enumerate(scene.image):
        if owner != image:
            continue
        for depth in _crossings(scene, primitive, row, column):
            if best is None or depth < best[1]:
                best = primitive, depth
    return best


def _crossings(scene: Scene, primitive: int, row: int, column: int) -> list[float]:
    rays, shape = scene.rays[primitive], scene.shape
    across = column + (0.5 if row % 2 else 0.0)
    dx, dy, dz = (float(rays[i, 0] * across + rays[i, 1] * row + rays[i, 2]) for i in range(3))
    ox, oy, oz = (float(value) for value in scene.origin[primitive])
    k0, k1, k2 = (float(value) for value in shape.quadric[primitive])
    a = dx * dx + dy * dy - k2 * dz * dz
    b = 2 * (ox * dx + oy * dy) - k1 * dz - 2 * k2 * oz * dz
    c = ox * ox + oy * oy - k0 - k1 * oz - k2 * oz * oz
    discriminant = b * b - 4 * a * c
    if a <= 1e-6 or discriminant < 0:
        return []
    depths = [(-b + sign * math.sqrt(discriminant)) / (2 * a) for sign in (-1, 1)]
    return [t for t in depths if t > 0 and _exists(scene, primitive, oy + t * dy, oz + t * dz)]


def _exists(scene: Scene, primitive: int, y: float, z: float) -> bool:
    shape = scene.shape
    return bool(shape.bottom[primitive] <= z <= shape.top[primitive] and y <= shape.front[primitive])
