"""Head, hair, hats and hoods."""

from __future__ import annotations

from vireid.synthetic.identity import Hair, Hat, Hood
from vireid.synthetic.wearer import HAIR, HAT, Surface, Wearer, plain, shift


def dress_head(w: Wearer) -> None:
    """Add the head with neck and nose, and the hair, hat or hood on it."""
    width, depth, tall = w.size.head
    head, neck = w.pose.head, w.pose.neck
    w.shapes.tube(shift(neck, z=-0.06), head, 1.1 * w.size.neck_radius, 0.9 * w.size.neck_radius, w.face)
    w.shapes.ball(head, w.size.head, w.face)
    nose = (0.16 * width, 0.22 * depth, 0.2 * tall)
    w.shapes.ball(shift(head, y=0.95 * depth, z=-0.1 * tall), nose, w.hand)
    if w.person.hood is Hood.UP:
        _hood_up(w)
        return
    _hair(w)
    _hat(w)
    if w.person.hood is Hood.DOWN:
        fold = (0.62 * w.size.chest_width, 0.05 + w.person.thickness, 0.085)
        back = shift(neck, y=-0.6 * w.size.chest_depth, z=0.01)
        w.shapes.ball(back, fold, w.sleeve, axis=(0.0, -0.5, 1.0))


def _cap(w: Wearer, grow: float, back: float, rise: float, surface: Surface, cut: float) -> None:
    """Add a shell around the skull, ``grow`` times its size and moved back and up by shares of it.

    Where it dips into the face, the face stays bare; it is cut off ``cut`` half heights from its middle.
    """
    width, depth, tall = w.size.head
    centre = shift(w.pose.head, y=-back * depth, z=rise * tall)
    w.shapes.ball(centre, (grow * width, grow * depth, grow * tall), surface, keep=(cut, 1.0))


def _hair(w: Wearer) -> None:
    style = w.person.hair
    if style is Hair.BALD:
        return
    hair = plain(w.person.hair_colour, HAIR)
    width, depth, tall = w.size.head
    head = w.pose.head
    covered = w.person.hat is not Hat.NONE
    if covered:
        _cap(w, 1.04, 0.14, 0.0, hair, cut=-0.4)
    elif style is Hair.CURLY:
        _cap(w, 1.34, 0.55, 0.3, hair, cut=-0.75)
    else:
        _cap(w, 1.07, 0.2, 0.12, hair, cut=-0.55)
    if style is Hair.BOB:
        bob = (1.3 * width, 0.95 * depth, 1.05 * tall)
        w.shapes.ball(shift(head, y=-0.32 * depth, z=-0.25 * tall), bob, hair, keep=(-0.75, 1.0))
    elif style is Hair.LONG:
        nape = shift(head, y=-0.45 * depth, z=-0.1 * tall)
        tip = w.on_trunk(0.0, w.pose.chest[2] - 0.04, -1.0, out=0.01)
        w.shapes.tube(nape, tip, 1.16 * width, width, hair, flat=0.62)
        w.shapes.ball(tip, (width, 0.62 * width, 0.07), hair)
    elif style is Hair.PONYTAIL:
        knot = shift(head, y=-1.1 * depth, z=0.15 * tall)
        tip = w.on_trunk(0.0, w.pose.chest[2], -1.0, out=0.03)
        w.shapes.ball(knot, (0.04, 0.05, 0.04), hair)
        w.shapes.tube(knot, tip, 0.036, 0.03, hair)
        w.shapes.ball(tip, (0.03, 0.03, 0.06), hair)
    elif style is Hair.BUN and not covered:
        w.shapes.ball(shift(head, y=-0.75 * depth, z=tall), (0.058, 0.058, 0.052), hair)


def _hat(w: Wearer) -> None:
    kind = w.person.hat
    if kind is Hat.NONE:
        return
    cloth = plain(w.person.hat_colour, HAT)
    width, depth, tall = w.size.head
    brow = shift(w.pose.head, z=0.36 * tall)
    if kind is Hat.BEANIE:
        _cap(w, 1.16, 0.12, 0.2, cloth, cut=0.0)
    elif kind is Hat.CAP:
        _cap(w, 1.14, 0.06, 0.1, cloth, cut=0.2)
        visor = (0.95 * width, 0.95 * depth, 0.016)
        w.shapes.ball(shift(brow, y=1.15 * depth), visor, cloth, axis=(0.0, 0.2, 1.0))
    else:
        _cap(w, 1.16, 0.04, 0.12, cloth, cut=0.2)
        w.shapes.ball(brow, (2.3 * width, 2.0 * depth, 0.018), cloth)


def _hood_up(w: Wearer) -> None:
    width, depth, tall = w.size.head
    radii = (1.4 * width, 1.32 * tall, 1.35 * depth)
    face = (0.0, 1.0, 0.12)  # the hood opens in this direction
    w.shapes.ball(shift(w.pose.head, y=-0.15 * depth), radii, w.sleeve, axis=face, keep=(-1.0, 0.5))
    low, high = shift(w.pose.neck, z=-0.07), shift(w.pose.neck, z=0.07)
    w.shapes.tube(low, high, 0.8 * w.size.chest_width, 1.25 * width, w.sleeve, flat=0.8)
