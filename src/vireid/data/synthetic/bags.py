"""Backpack, shoulder bag and handbag."""

from __future__ import annotations

from vireid.data.synthetic.identity import Bag
from vireid.data.synthetic.shapes import UP
from vireid.data.synthetic.wearer import Wearer, between, lerp, norm, plain, shift


def carry(w: Wearer) -> None:
    """Add the person's bag, if any."""
    if w.person.bag is Bag.BACKPACK:
        _backpack(w)
    elif w.person.bag is Bag.SHOULDER:
        _shoulder_bag(w)
    elif w.person.bag is Bag.HAND:
        _handbag(w)


def _backpack(w: Wearer) -> None:
    cloth = plain(w.person.bag_colour)
    depth = w.size.chest_depth + w.person.thickness
    low = shift(lerp(w.pose.pelvis, w.pose.waist, 0.6), y=-depth - 0.06)
    high = shift(w.pose.chest, y=-depth - 0.06, z=-0.06)
    width = 0.78 * w.size.chest_width
    w.shapes.tube(low, high, width, 0.9 * width, cloth, flat=0.62)
    w.shapes.ball(high, (0.9 * width, 0.56 * width, 0.08), cloth)
    w.shapes.ball(low, (width, 0.62 * width, 0.07), cloth)
    loop = 0.168 + w.person.thickness
    for side in (-1.0, 1.0):
        strap = shift(w.pose.chest, x=side * 0.55 * w.size.chest_width - 0.02, z=-0.12)
        w.shapes.tube(strap, shift(strap, x=0.04), loop, loop, cloth, flat=(depth + 0.012) / loop, side=UP)


def _shoulder_bag(w: Wearer) -> None:
    """A bag at one hip; its strap is a band around the trunk, up to the other shoulder."""
    cloth = plain(w.person.bag_colour)
    side = float(w.person.bag_side)
    hip = max(w.hip, w.size.waist_width) + w.person.thickness
    bag = shift(w.pose.pelvis, x=side * (hip + 0.045), y=-0.03, z=-0.02)
    w.shapes.ball(bag, (0.05, 0.15, 0.12), cloth, keep=(-1.0, 0.75))
    w.shapes.ball(shift(bag, z=0.09), (0.035, 0.11, 0.02), cloth)
    top = shift(w.pose.chest, x=-side * 0.62 * w.size.chest_width, z=0.05)
    low = shift(bag, x=-side * 0.02, z=0.06)
    strap = between(low, top)
    half = 0.5 * norm(strap)
    across = (strap[2], 0.0, -strap[0])
    x, z = 0.018 * across[0] / norm(across), 0.018 * across[2] / norm(across)
    middle = lerp(top, low, 0.5)
    depth = 0.5 * (w.size.waist_depth + 0.74 * w.size.chest_width) + w.person.thickness + 0.012
    start, end = shift(middle, x=-x, z=-z), shift(middle, x=x, z=z)
    w.shapes.tube(start, end, half, half, cloth, flat=depth / half, side=strap)


def _handbag(w: Wearer) -> None:
    cloth = plain(w.person.bag_colour)
    arm = w.pose.arms[0 if w.person.bag_side < 0 else 1]
    hand = lerp(arm.middle, arm.end, 1.2)
    top, bottom = shift(hand, z=-0.13), shift(hand, z=-0.33)
    w.shapes.tube(bottom, top, 0.055, 0.045, cloth, flat=2.6)
    w.shapes.ball(bottom, (0.055, 0.143, 0.02), cloth)
    for y in (-0.06, 0.06):
        w.shapes.tube(shift(top, y=y, z=-0.01), hand, 0.009, 0.009, cloth)
