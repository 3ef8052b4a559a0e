"""One person in one pose, ready to be dressed: what the garments' modules share."""

from __future__ import annotations

import math

from vireid.data.synthetic.body import Measures, Pose
from vireid.data.synthetic.identity import Identity
from vireid.data.synthetic.materials import Garment, Material, texture
from vireid.data.synthetic.shapes import Point, Shapes

Surface = tuple[float, ...]
THIN = 0.008  # a shirt's thickness, metres


class Wearer:
    """A person's measures, pose and surfaces, and the primitives laid over them so far."""

    def __init__(self, person: Identity, size: Measures, pose: Pose) -> None:
        self.person, self.size, self.pose = person, size, pose
        self.shapes = Shapes()
        self.skin = plain(person.skin)
        self.upper = texture(person.upper)
        self.sleeve = texture(person.upper, sleeve=True)
        self.lower = texture(person.lower_garment)
        self.shirt = texture(person.inner) if person.open_coat else self.upper
        # wide enough for the thighs
        self.hip = max(size.hip_width, size.hip_x + size.thigh_radius * person.lower_width + 0.004)


def plain(material: Material) -> Surface:
    """Return the surface of a thing of one material."""
    return texture(Garment.plain(material))


def lerp(a: Point, b: Point, share: float) -> Point:
    """Return the point ``share`` of the way from ``a`` to ``b``."""
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])


def shift(a: Point, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Point:
    """Return the point moved by (x, y, z) metres."""
    return a[0] + x, a[1] + y, a[2] + z


def between(a: Point, b: Point) -> Point:
    """Return the vector from ``a`` to ``b``."""
    return b[0] - a[0], b[1] - a[1], b[2] - a[2]


def norm(a: Point) -> float:
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
