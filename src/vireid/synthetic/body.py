"""The skeleton: the measurements of a person, and the positions of the joints at one phase of the walk.

Body frame: x to the person's right, y forward, z up, metres; the origin is on the ground below the pelvis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vireid.synthetic.identity import Bag, Identity, Lower
from vireid.synthetic.shapes import Point


@dataclass(frozen=True)
class Measures:
    """Sizes in metres: half widths (x), half depths (y), radii, lengths; ``hip``, ``waist``, ``shoulder``:
    heights."""

    stature: float
    hip: float
    waist: float
    shoulder: float
    thigh: float
    shin: float
    ankle: float
    upper_arm: float
    forearm: float
    chest_width: float
    chest_depth: float
    waist_width: float
    waist_depth: float
    hip_width: float
    hip_depth: float
    hip_x: float
    thigh_radius: float
    knee_radius: float
    ankle_radius: float
    arm_radius: float
    wrist_radius: float
    neck_radius: float
    head: Point


@dataclass(frozen=True)
class Limb:
    """Root, middle joint and end of an arm or a leg."""

    root: Point
    middle: Point
    end: Point


@dataclass(frozen=True)
class Pose:
    """Joint positions; limbs come as (left, right). ``feet`` are unit vectors from heel to toe."""

    pelvis: Point
    waist: Point
    chest: Point
    neck: Point
    head: Point
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    feet: tuple[Point, Point]


def measure(person: Identity) -> Measures:
    """Return the sizes of a person's body, without clothes."""
    build = person.build
    s = build.height / 1.75
    slim, deep, belly = build.mass**0.35, build.mass**0.6, build.mass**0.9
    hip = 0.525 * build.height * build.legs
    ankle = 0.075 * s
    leg = hip - ankle
    shoulder = 0.815 * build.height
    head = build.head * s
    return Measures(
        stature=build.height,
        hip=hip,
        waist=hip + 0.42 * (shoulder - hip),
        shoulder=shoulder,
        thigh=0.51 * leg,
        shin=0.49 * leg,
        ankle=ankle,
        upper_arm=0.30 * s * build.arms,
        forearm=0.25 * s * build.arms,
        chest_width=0.168 * s * build.shoulders * slim,
        chest_depth=0.112 * s * deep,
        waist_width=0.140 * s * belly,
        waist_depth=0.104 * s * belly,
        hip_width=0.165 * s * build.hips * slim,
        hip_depth=0.118 * s * deep,
        hip_x=0.083 * s * build.hips * slim,
        thigh_radius=0.083 * s * build.mass**0.5,
        knee_radius=0.055 * s * slim,
        ankle_radius=0.040 * s * slim,
        arm_radius=0.047 * s * build.mass**0.5,
        wrist_radius=0.029 * s * slim,
        neck_radius=0.056 * s * slim,
        head=(0.078 * head, 0.097 * head, 0.118 * head),
    )


def walk(person: Identity, size: Measures, phase: float, stride: float) -> Pose:
    """Return the pose at ``phase`` (radians) of a gait cycle, the lower foot on the ground. ``stride`` is
    about 1."""
    gait = person.gait
    swing = 0.36 * stride * gait.stride
    if person.lower is Lower.SKIRT:
        swing *= 1.0 - 0.45 * person.lower_length
    legs, feet, soles = [], [], []
    for side in (-1.0, 1.0):
        leg, foot, sole = _leg(size, phase if side > 0 else phase + math.pi, swing, side, gait.toes)
        legs.append(leg)
        feet.append(foot)
        soles.append(sole)
    drop = -min(soles)
    lean = 0.035
    arms = []
    for side in (-1.0, 1.0):
        quiet = person.bag in (Bag.SHOULDER, Bag.HAND) and side == person.bag_side
        opposite = (phase + math.pi if side > 0 else phase) - gait.lag
        reach = (0.2 if quiet else 0.7 * gait.swing) * swing
        arms.append(_arm(person, size, opposite, reach, side, lean))

    def spine(height: float, forward: float = 0.0) -> Point:
        return 0.0, forward + lean * (height - size.hip), height + drop

    head_height = size.stature - size.head[2]
    return Pose(
        pelvis=spine(size.hip),
        waist=spine(size.waist),
        chest=spine(size.shoulder - 0.03),
        neck=spine(size.shoulder + 0.03),
        head=spine(head_height, 0.02),
        arms=(_lift(arms[0], drop), _lift(arms[1], drop)),
        legs=(_lift(legs[0], drop), _lift(legs[1], drop)),
        feet=(feet[0], feet[1]),
    )


def _leg(size: Measures, phase: float, swing: float, side: float, toes: float) -> tuple[Limb, Point, float]:
    """Return one leg, the direction of its foot and the height of its lowest point, before the body is put
    on the ground."""
    thigh = 0.05 + swing * math.cos(phase)
    knee = 0.08 + 1.5 * swing * max(0.0, math.cos(phase - 4.45)) ** 2  # bends while the leg swings through
    foot = 0.7 * swing * max(0.0, math.cos(phase)) ** 3 - 1.4 * swing * max(0.0, math.cos(phase - 3.8)) ** 2
    x = side * size.hip_x
    hip = (x, 0.0, size.hip)
    bent = (x, size.thigh * math.sin(thigh), size.hip - size.thigh * math.cos(thigh))
    ankle = (
        0.9 * x,
        bent[1] + size.shin * math.sin(thigh - knee),
        bent[2] - size.shin * math.cos(thigh - knee),
    )
    level = math.cos(foot)
    toe = (side * math.sin(toes) * level, math.cos(toes) * level, math.sin(foot))
    down = size.ankle * math.cos(foot)
    lowest = ankle[2] - down + min(0.17 * math.sin(foot), -0.06 * math.sin(foot))
    return Limb(hip, bent, ankle), toe, lowest


def _arm(person: Identity, size: Measures, phase: float, swing: float, side: float, lean: float) -> Limb:
    """Return one arm, spread as far as the hips, the clothes and a bag on that side require."""
    clothes = person.thickness
    root_x = size.chest_width + 0.3 * size.arm_radius + 0.5 * clothes
    widest = (
        max(size.hip_x + size.thigh_radius * person.lower_width, size.hip_width, size.waist_width) + clothes + 0.015
    )
    if side == person.bag_side and person.bag is Bag.SHOULDER:
        widest += 0.09
    if side == person.bag_side and person.bag is Bag.HAND:
        widest += 0.05
    reach = widest + size.arm_radius - root_x
    spread = max(0.06, math.asin(min(0.7, reach / (size.upper_arm + 0.6 * size.forearm))))
    upper = swing * math.cos(phase) - 0.02
    lower = upper + 0.22 + 0.5 * swing * max(0.0, math.cos(phase))
    root = (side * root_x, lean * (size.shoulder - size.hip), size.shoulder - 0.045)
    elbow = _along(root, size.upper_arm, side * spread, upper)
    return Limb(root, elbow, _along(elbow, size.forearm, side * 0.8 * spread, lower))


def _along(start: Point, length: float, spread: float, forward: float) -> Point:
    out = length * math.cos(spread)
    return (
        start[0] + length * math.sin(spread),
        start[1] + out * math.sin(forward),
        start[2] - out * math.cos(forward),
    )


def _lift(limb: Limb, height: float) -> Limb:
    root, middle, end = ((p[0], p[1], p[2] + height) for p in (limb.root, limb.middle, limb.end))
    return Limb(root, middle, end)
