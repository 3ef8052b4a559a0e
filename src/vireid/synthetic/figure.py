"""A dressed person in one pose, as primitives: trunk, limbs and the garments over them."""

from __future__ import annotations

from vireid.synthetic.bags import carry
from vireid.synthetic.body import Limb, measure, walk
from vireid.synthetic.head import dress_head
from vireid.synthetic.identity import Identity, Lower
from vireid.synthetic.shapes import CLOSED, LEFT, Shapes
from vireid.synthetic.wearer import SHOE, THIN, Surface, Wearer, between, lerp, norm, plain, shift

LAP = 0.012  # overlap of neighbouring shells of the trunk, metres
OPEN = 0.72  # a coat is open where its front reaches farther forward than this share of its depth


def dress(person: Identity, phase: float, stride: float) -> Shapes:
    """Return the primitives of ``person`` at ``phase`` of a walk of ``stride``, in the body frame."""
    size = measure(person)
    w = Wearer(person, size, walk(person, size, phase, stride))
    dress_head(w)
    _torso(w)
    _hem(w)
    if person.lower is Lower.SKIRT:
        _skirt(w)
    for side in (0, 1):
        _arm(w, side)
        _leg(w, side)
    carry(w)
    return w.shapes


def _torso(w: Wearer) -> None:
    person, size, pose = w.person, w.size, w.pose
    if person.open_coat:
        _trunk(w, w.shirt, THIN, CLOSED)
    _trunk(w, w.upper, person.thickness + 0.004, OPEN if person.open_coat else CLOSED)
    if person.lower is not Lower.SKIRT:
        w.shapes.ball(pose.pelvis, (w.hip, w.depth, 0.13), w.lower, keep=(-1.0, 0.9))
    neckline = w.shirt if person.sleeve > 0 else w.skin
    top = shift(pose.neck, z=0.025)
    wide, narrow = 0.8 * size.chest_width, 1.15 * size.neck_radius
    w.shapes.tube(pose.chest, top, wide, narrow, neckline, flat=0.75, along=0.5)


def _trunk(w: Wearer, surface: Surface, cloth: float, front: float) -> None:
    """Add shells ``cloth`` metres outside the body from the hips to the shoulder line, cut open beyond
    ``front``."""
    size, pose = w.size, w.pose
    hip, waist, chest = w.hip + cloth, size.waist_width + cloth, size.chest_width + cloth
    low, high = (w.depth + cloth) / hip, (size.waist_depth + cloth) / waist
    rise, length = pose.waist[2] - pose.pelvis[2], pose.chest[2] - pose.pelvis[2]
    w.shapes.tube(pose.pelvis, pose.waist, hip, waist, surface, flat=low, front=front, overlap=LAP)
    w.shapes.tube(pose.waist, pose.chest, waist, chest, surface, flat=high, front=front, along=rise, overlap=LAP)
    shoulders = (chest, chest * high, 0.05 + cloth)
    w.shapes.ball(pose.chest, shoulders, surface, keep=(-0.2, 1.0), front=front, along=length)


def _hem(w: Wearer) -> None:
    """Add the part of the upper garment that hangs below the hip joints; with a skirt, shirts are tucked
    in."""
    person, pose = w.person, w.pose
    if person.lower is Lower.SKIRT and not person.open_coat:
        return
    cloth = person.thickness + 0.004
    hip, depth = w.hip + cloth, w.depth + cloth
    wide = hip * _flare(w, person.hem, hip, depth)
    if person.lower is Lower.SKIRT:
        length, hips, _, end = _skirt_sizes(w)
        wide = max(wide, hips + min(1.0, person.hem / length) * (end - hips) + 0.01)
    front = OPEN if person.open_coat else CLOSED
    low = shift(pose.pelvis, z=-person.hem)
    w.shapes.tube(pose.pelvis, low, hip, wide, w.upper, flat=depth / hip, side=LEFT, front=front, along=-1.0)


def _skirt(w: Wearer) -> None:
    pose = w.pose
    length, hip, flat, wide = _skirt_sizes(w)
    waist = max(w.size.waist_width + hip - w.hip + 0.004, 0.8 * hip)
    top, end = lerp(pose.pelvis, pose.waist, 0.7), shift(pose.pelvis, z=-length)
    w.shapes.tube(pose.pelvis, top, hip, waist, w.lower, flat=flat, along=length, overlap=LAP)
    w.shapes.tube(end, pose.pelvis, wide, hip, w.lower, flat=flat)


def _skirt_sizes(w: Wearer) -> tuple[float, float, float, float]:
    """Return a skirt's length below the hip joints, half width there, depth / width, and half width at its end."""
    length = w.person.lower_length * 0.9 * (w.size.thigh + w.size.shin)
    cloth = (THIN if w.person.open_coat else w.person.thickness) + 0.01  # over the shirt
    hip, depth = w.hip + cloth, w.depth + cloth
    return length, hip, depth / hip, hip * max(1.12, _flare(w, length, hip, depth))


def _flare(w: Wearer, drop: float, width: float, depth: float) -> float:
    """Return how much an ellipse must grow to contain both legs, ``drop`` metres below the hip joints."""
    need = 1.02
    radius = w.size.thigh_radius * w.person.lower_width + 0.012
    for leg in w.pose.legs:
        thigh, shin = leg.root[2] - leg.middle[2], leg.middle[2] - leg.end[2]
        if drop < thigh:
            x, y, _ = lerp(leg.root, leg.middle, drop / thigh)
        else:
            x, y, _ = lerp(leg.middle, leg.end, min(1.0, (drop - thigh) / shin))
        for across, ahead in ((1.0, 0.0), (0.87, 0.5), (0.71, 0.71), (0.5, 0.87), (0.0, 1.0)):
            span = ((abs(x) + radius * across) / width) ** 2 + ((abs(y) + radius * ahead) / depth) ** 2
            need = max(need, span**0.5)
    return need


def _limb(w: Wearer, limb: Limb, radii: tuple[float, float, float], surface: Surface, reach: float) -> None:
    """Cover a limb from its root to ``reach`` (1: the middle joint, 2: the end), with balls in the joints."""
    root, middle, end = radii
    w.shapes.ball(limb.root, (root, root, root), surface)
    first, second = min(reach, 1.0), reach - 1.0
    w.shapes.tube(limb.root, lerp(limb.root, limb.middle, first), root, root + first * (middle - root), surface)
    if second > 0:
        length = norm(between(limb.root, limb.middle))
        stop, radius = lerp(limb.middle, limb.end, second), middle + second * (end - middle)
        w.shapes.ball(limb.middle, (middle, middle, middle), surface, along=length)
        w.shapes.tube(limb.middle, stop, middle, radius, surface, along=length)


def _arm(w: Wearer, side: int) -> None:
    size, limb, sleeve, cloth = w.size, w.pose.arms[side], w.person.sleeve, w.person.thickness
    elbow = 0.5 * (size.arm_radius + size.wrist_radius) + 0.003
    bare = sleeve < 1.0
    if bare:
        _limb(w, limb, (size.arm_radius, elbow, size.wrist_radius), w.skin, 2.0)
    if sleeve > 0:
        loose = cloth + (0.012 if bare else 0.0)
        radii = (size.arm_radius + loose, elbow + loose, size.wrist_radius + 0.8 * loose + 0.006)
        _limb(w, limb, radii, w.sleeve, 2.0 * sleeve if bare else 1.97)
    hand = lerp(limb.middle, limb.end, 1.16)
    w.shapes.ball(hand, (0.024, 0.042, 0.075), w.hand, axis=between(limb.middle, limb.end))


def _leg(w: Wearer, side: int) -> None:
    person, size, limb = w.person, w.size, w.pose.legs[side]
    bare = person.lower is not Lower.TROUSERS
    if bare:
        _limb(w, limb, (size.thigh_radius, size.knee_radius, size.ankle_radius), w.skin, 2.0)
    if person.lower is not Lower.SKIRT:
        wide = person.lower_width
        radii = (
            size.thigh_radius * wide + 0.004,
            size.knee_radius * wide + 0.012,
            size.ankle_radius * wide + 0.016,
        )
        covered = 1.5 if person.boots else 1.97
        _limb(w, limb, radii, w.lower, 2.0 * person.lower_length if bare else covered)
    shoe = plain(person.shoes, SHOE)
    if person.boots:
        top = lerp(limb.middle, limb.end, 0.45)
        w.shapes.tube(top, limb.end, size.knee_radius * person.lower_width + 0.014, size.ankle_radius + 0.016, shoe)
    x, y, z = w.pose.feet[side]
    up = (0.0, -z, y)  # away from the sole
    half = 0.5 * size.ankle
    middle = shift(limb.end, 0.055 * x, 0.055 * y - half * up[1], 0.055 * z - half * up[2])
    radii = (0.046, 0.125, 0.9 * size.ankle)
    w.shapes.ball(middle, radii, shoe, axis=up, side=(y, -x, 0.0), keep=(-0.52, 1.0))
