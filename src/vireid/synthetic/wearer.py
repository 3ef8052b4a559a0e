"""One person in one pose, ready to be dressed: code shared by the modules of garments."""

from __future__ import annotations

import math

from vireid.synthetic.body import Measures, Pose
from vireid.synthetic.identity import Identity
from vireid.synthetic.materials import Garment, Material, texture
from vireid.synthetic.shapes import Point, Shapes

Surface = tuple[float, ...]
THIN = 0.008  # a shirt's thickness, metres
FILM = 0.02  # metres of cloth that insulate as well as the still air around a person
# warmth: from the temperature of the air (0) to that of the skin (1)
FACE, LIMB, HAND, HAIR, HAT, SHOE, BAG = 1.0, 0.92, 0.8, 0.5, 0.3, 0.32, 0.06


class Wearer:
    """A person's measurements, pose and surfaces, and the primitives added so far."""

    def __init__(self, person: Identity, size: Measures, pose: Pose) -> None:
        self.person, self.size, self.pose = person, size, pose
        self.shapes = Shapes()
        self.face, self.skin, self.hand = (plain(person.skin, warmth) for warmth in (FACE, LIMB, HAND))
        self.upper = texture(person.upper, through(person.thickness))
        self.sleeve = texture(person.upper, through(person.thickness), sleeve=True)
        # wide trousers hold more air
        self.lower = texture(person.lower_garment, through(0.006 + 0.03 * max(0.0, person.lower_width - 0.95)))
        self.shirt = texture(person.inner, through(THIN)) if person.open_coat else self.upper
        # half width and half depth of an ellipse around both thighs
        thigh = size.thigh_radius * person.lower_width + 0.004
        self.hip = max(size.hip_width, size.hip_x + thigh)
        self.depth = max(size.hip_depth, math.sqrt(thigh * self.hip))

    def ring(self, z: float, out: float = 0.0) -> tuple[Point, float, float]:
        """Return the middle of the trunk at height ``z``, its half width ``out`` metres outside the upper garment, and
        its depth / width."""
        pelvis, waist, chest = self.pose.pelvis, self.pose.waist, self.pose.chest
        cloth = self.person.thickness + 0.004 + out
        hip, middle, broad = self.hip + cloth, self.size.waist_width + cloth, self.size.chest_width + cloth
        low, high = (self.depth + cloth) / hip, (self.size.waist_depth + cloth) / middle
        if z < waist[2]:
            share = max(0.0, (z - pelvis[2]) / (waist[2] - pelvis[2]))
            return lerp(pelvis, waist, share), hip + share * (middle - hip), low
        if z < chest[2]:
            share = (z - waist[2]) / (chest[2] - waist[2])
            return lerp(waist, chest, share), middle + share * (broad - middle), high
        return chest, broad * math.sqrt(max(0.0, 1.0 - ((z - chest[2]) / (0.05 + cloth)) ** 2)), high

    def on_trunk(self, x: float, z: float, facing: float, out: float = 0.0) -> Point:
        """Return the point at ``x`` and height ``z`` that lies ``out`` metres outside the upper garment, on the chest
        (``facing`` 1) or on the back (-1)."""
        centre, width, flat = self.ring(z, out)
        return x, centre[1] + facing * flat * math.sqrt(max(0.0, width * width - x * x)), z


def plain(material: Material, warmth: float) -> Surface:
    """Return the surface of an object made of one material."""
    return texture(Garment.plain(material), warmth)


def through(thickness: float) -> float:
    """Return the warmth outside cloth ``thickness`` metres thick: two thermal resistances in series."""
    return FILM / (FILM + thickness)


def lerp(a: Point, b: Point, share: float) -> Point:
    """Return the point at ``share`` of the way from ``a`` to ``b``."""
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])


def shift(a: Point, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Point:
    """Return the point moved by (x, y, z) metres."""
    return a[0] + x, a[1] + y, a[2] + z


def between(a: Point, b: Point) -> Point:
    """Return the vector from ``a`` to ``b``."""
    return b[0] - a[0], b[1] - a[1], b[2] - a[2]


def norm(a: Point) -> float:
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
