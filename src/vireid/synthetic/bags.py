"""Backpack, shoulder bag and handbag."""

from __future__ import annotations

from itertools import pairwise

from vireid.synthetic.identity import Bag
from vireid.synthetic.shapes import Point
from vireid.synthetic.wearer import BAG, Surface, Wearer, lerp, plain, shift

STRAP = 0.012  # metres from the cloth to the middle of a strap


def carry(w: Wearer) -> None:
    """Add the person's bag, if any."""
    if w.person.bag is Bag.BACKPACK:
        _backpack(w)
    elif w.person.bag is Bag.SHOULDER:
        _shoulder_bag(w)
    elif w.person.bag is Bag.HAND:
        _handbag(w)


def _backpack(w: Wearer) -> None:
    cloth = plain(w.person.bag_colour, BAG)
    chest = w.pose.chest[2]
    low = w.on_trunk(0.0, lerp(w.pose.pelvis, w.pose.waist, 0.6)[2], -1.0, out=0.055)
    high = w.on_trunk(0.0, chest - 0.06, -1.0, out=0.055)
    width = 0.78 * w.size.chest_width
    w.shapes.tube(low, high, width, 0.9 * width, cloth, flat=0.62)
    w.shapes.ball(high, (0.9 * width, 0.56 * width, 0.08), cloth)
    w.shapes.ball(low, (width, 0.62 * width, 0.07), cloth)
    for side in (-1.0, 1.0):
        x = side * 0.6 * w.size.chest_width
        middle, flank, _ = w.ring(chest - 0.27, STRAP)
        rear, beside = (side * 0.9 * width, low[1], chest - 0.3), (side * flank, middle[1], chest - 0.27)
        start = [rear, beside, w.on_trunk(side * 0.87 * flank, chest - 0.26, 1.0, STRAP)]
        front = [w.on_trunk(x * (1.0 + 0.3 * drop), chest - 0.24 * drop, 1.0, STRAP) for drop in (1.0, 0.67, 0.33, 0.0)]
        back = [w.on_trunk(x, chest - drop, -1.0, STRAP) for drop in (0.0, 0.06)]
        _strap(w, [*start, *front, *_over_shoulder(w, x), *back], cloth)


def _shoulder_bag(w: Wearer) -> None:
    """Add a bag at one hip; its strap runs over chest and back to the other shoulder."""
    cloth = plain(w.person.bag_colour, BAG)
    side = float(w.person.bag_side)
    hip = max(w.hip, w.size.waist_width) + w.person.thickness
    bag = shift(w.pose.pelvis, x=side * (hip + 0.045), y=-0.03, z=-0.02)
    w.shapes.ball(bag, (0.05, 0.15, 0.12), cloth, keep=(-1.0, 0.75))
    w.shapes.ball(shift(bag, z=0.09), (0.035, 0.11, 0.02), cloth)
    x, low, high = -side * 0.6 * w.size.chest_width, bag[2] + 0.12, w.pose.chest[2]
    for facing in (1.0, -1.0):
        start = shift(bag, x=-side * 0.02, y=facing * 0.09, z=0.08)
        path = [
            w.on_trunk(side * 0.85 * hip * (1.0 - share) + x * share, low + (high - low) * share, facing, STRAP)
            for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
        ]
        _strap(w, [start, *path, *_over_shoulder(w, x)[:: int(facing)][:2]], cloth)


def _over_shoulder(w: Wearer, x: float) -> list[Point]:
    """Return the path over a shoulder, from chest to back."""
    dome = 0.05 + w.person.thickness + 0.004 + STRAP
    broad = w.size.chest_width + w.person.thickness + 0.004 + STRAP
    top = w.pose.chest[2] + dome * (1.0 - (x / broad) ** 2) ** 0.5
    middle = (x, w.pose.chest[1], top)
    slopes = [w.on_trunk(x, 0.35 * w.pose.chest[2] + 0.65 * top, facing, STRAP) for facing in (1.0, -1.0)]
    return [slopes[0], middle, slopes[1]]


def _strap(w: Wearer, path: list[Point], cloth: Surface) -> None:
    """Add a flat band along ``path`` on the body, whose surface there faces forwards, backwards or upwards."""
    for start, end in pairwise(path):
        w.shapes.tube(start, end, 0.019, 0.019, cloth, flat=0.5, overlap=0.006)


def _handbag(w: Wearer) -> None:
    cloth = plain(w.person.bag_colour, BAG)
    arm = w.pose.arms[0 if w.person.bag_side < 0 else 1]
    hand = lerp(arm.middle, arm.end, 1.2)
    top, bottom = shift(hand, z=-0.13), shift(hand, z=-0.33)
    w.shapes.tube(bottom, top, 0.055, 0.045, cloth, flat=2.6)
    w.shapes.ball(bottom, (0.055, 0.143, 0.02), cloth)
    for y in (-0.06, 0.06):
        w.shapes.tube(shift(top, y=y, z=-0.01), hand, 0.009, 0.009, cloth)
