"""What stands before a synthetic camera: people whose clothes hold together, passers-by, occluders, crops, the dial."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import label

from vireid.synthetic import (
    Camera,
    Difficulty,
    Identity,
    Passer,
    Spectrum,
    View,
    render_with_masks,
    sample_camera,
    sample_identity,
    sample_view,
)
from vireid.synthetic.bags import carry
from vireid.synthetic.body import measure, walk
from vireid.synthetic.figure import dress
from vireid.synthetic.geometry import NEAR, build
from vireid.synthetic.identity import Bag, Hair, Hat, Hood, Lower, sample_stranger
from vireid.synthetic.materials import Material
from vireid.synthetic.occluders import SIZES, Occluder, Thing, assemble, beside, sample_occluder
from vireid.synthetic.raster import trace
from vireid.synthetic.shapes import Array, Shapes, corners, frames
from vireid.synthetic.wearer import Wearer, between, lerp, norm

Mask = npt.NDArray[np.bool_]
CLEAN = Difficulty.even(0.0)
GREY = Material((0.5, 0.5, 0.5), 0.5)


def walkers(count: int, seed: int = 4, difficulty: float = 0.0) -> tuple[list[Identity], list[View]]:
    """People all around and all through the walk."""
    people = [sample_identity(seed, number, difficulty) for number in range(count)]
    views = [sample_view(seed, number, sample_camera(seed, number % 4), 0, CLEAN) for number in range(count)]
    turned = [replace(view, yaw=0.7 * i, phase=1.9 * i) for i, view in enumerate(views)]
    return people, turned


def crowded(count: int, level: float = 1.0) -> list[View]:
    dial = replace(CLEAN, occlusion=level)
    return [sample_view(5, number, sample_camera(5, number % 6), 0, dial) for number in range(count)]


def extent(shapes: Shapes, yaw: float, towards: tuple[float, float]) -> float:
    """How far a figure that faces ``yaw`` reaches from its place into the world's direction ``towards``, metres."""
    box = corners(frames(np.array(shapes.rows))).reshape(-1, 3)
    ahead = np.array([math.sin(yaw), -math.cos(yaw)])
    world = box[:, :1] * np.array([ahead[1], -ahead[0]]) + box[:, 1:2] * ahead
    return float((world @ np.array(towards)).max())


def clearance(person: Identity, view: View, other: Passer | Occluder) -> float:
    """The gap between a person and another thing along the line between their places or the camera's, metres."""
    figure = dress(other.person, other.phase, other.stride) if isinstance(other, Passer) else assemble(other)
    own = dress(person, view.phase, view.stride)
    step = other.place[0] - view.place[0], other.place[1] - view.place[1]
    gaps = []
    for x, y in (step, (-view.place[0], -view.place[1])):
        towards = x / math.hypot(x, y), y / math.hypot(x, y)
        apart = step[0] * towards[0] + step[1] * towards[1]
        back = -towards[0], -towards[1]
        gaps.append(apart - extent(own, view.yaw, towards) - extent(figure, other.yaw, back))
    return max(gaps)


# bodies and clothes ------------------------------------------------------------------------------------------


def test_no_part_of_a_person_floats() -> None:
    people, views = walkers(40)
    masks = render_with_masks(people, views, Spectrum.VISIBLE, 192, 96)[1].numpy()
    for mask in masks:
        pieces, count = label(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        assert sizes.max() > 0.995 * sizes.sum()


@pytest.mark.parametrize("hair", [Hair.LONG, Hair.PONYTAIL])
def test_hair_hangs_over_the_back_in_one_piece(hair: Hair) -> None:
    people, views = walkers(12)
    dyed = Material((0.321, 0.0, 0.0), 0.5)
    people = [replace(p, hair=hair, hair_colour=dyed, hat=Hat.NONE, hood=Hood.NONE, bag=Bag.NONE) for p in people]
    for mask in visible_red(people, [replace(view, yaw=math.pi) for view in views], 0.321):
        pieces, count = label(mask)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        assert sizes.max() > 0.97 * sizes.sum()


def visible_red(people: list[Identity], views: list[View], red: float) -> Mask:
    """Where surfaces of that red show: (n, 192, 48), samples of every second row."""
    scene = build(people, views, 192, 48)
    hits = trace(scene, len(people), 384, 48, torch.device("cpu"))
    mine = scene.surface[hits.primitive.numpy(), 0] == red
    seen = np.zeros(len(people) * 384 * 48, dtype=bool)
    seen[hits.sample.numpy()[mine]] = True
    return seen.reshape(-1, 384, 48)[:, ::2]


@pytest.mark.parametrize("open_coat", [False, True])
def test_nothing_comes_through_the_hem(open_coat: bool) -> None:
    """Thighs stay inside a shirt and a skirt inside an open coat's back, however wide the trousers and the stride."""
    people, views = walkers(24)
    lower = Material((0.123, 0.0, 0.0), 0.5)
    cut: dict[str, Any] = {"lower": Lower.SKIRT, "lower_length": 0.7, "sleeve": 1.0, "thickness": 0.018}
    for index, person in enumerate(people):
        garment = replace(person.lower_garment, base=lower, accent=lower)
        worn = cut if open_coat else {"lower": Lower.TROUSERS, "lower_width": 1.28}
        people[index] = replace(
            person, lower_garment=garment, open_coat=open_coat, bag=Bag.NONE, hem=0.05 + 0.01 * index, **worn
        )
    scene = build(people, [replace(view, yaw=math.pi) for view in views], 96, 48)
    hits = trace(scene, len(people), 192, 48, torch.device("cpu"))
    primitive, shape = hits.primitive.numpy(), scene.shape
    local = torch.stack(hits.point, 1).double().numpy()
    axes = shape.frame[primitive] * shape.scale[primitive][:, :, None] ** 2
    place = shape.centre[primitive] + (local[:, :, None] * axes).sum(axis=1)
    owner = scene.image[primitive]
    poses = [walk(p, measure(p), view.phase, view.stride) for p, view in zip(people, views, strict=True)]
    top = np.array([lerp(pose.pelvis, pose.waist, 0.6)[2] for pose in poses])[owner]
    end = np.array([pose.pelvis[2] - p.hem for pose, p in zip(poses, people, strict=True)])[owner]
    own = scene.body[primitive] & (np.abs(place[:, 0]) < 0.12)
    covered = own & (place[:, 1] < 0.0) & (place[:, 2] < top) & (place[:, 2] > end + 0.03)
    assert covered.sum() > 1500
    assert not (scene.surface[primitive, 0] == 0.123)[covered].any()


@pytest.mark.parametrize("bag", [Bag.BACKPACK, Bag.SHOULDER])
def test_straps_are_unbroken_and_lie_on_the_body(bag: Bag) -> None:
    people, views = walkers(20, difficulty=0.3)
    for person, view in zip(people, views, strict=True):
        person = replace(person, bag=bag)
        size = measure(person)
        w = Wearer(person, size, walk(person, size, view.phase, view.stride))
        carry(w)
        straps = [(row[0:3], row[3:6]) for row in w.shapes.rows if row[9] == 0.019]
        ends = [tuple(a + b for a, b in zip(start, axis, strict=True)) for start, axis in straps]
        starts = [start for start, _ in straps]
        broken = sum(math.dist(end, start) > 1e-9 for end, start in zip(ends, starts[1:], strict=False))
        assert broken == 1  # two straps of a backpack, breast and back of a shoulder bag
        assert max(end[2] for end in ends) > w.pose.chest[2] + 0.03
        for start, end in zip(starts, ends, strict=True):
            x, y, z = (0.5 * (a + b) for a, b in zip(start, end, strict=True))
            if z < w.pose.waist[2] or end[2] < w.pose.waist[2] + 0.1:
                continue  # on its way to the bag
            centre, width, flat = w.ring(z)
            reach = math.hypot(x, (y - centre[1]) / flat)
            assert width - 0.006 < reach < width + 0.06


def test_limbs_and_gait_belong_to_the_person() -> None:
    people = [sample_identity(6, number, 0.0) for number in range(60)]
    arms = []
    for person in people:
        size = measure(person)
        pose = walk(person, size, 1.0, 1.0)
        arms.append(norm(between(pose.arms[0].root, pose.arms[0].middle)) / size.stature)
        assert all(norm(foot) == pytest.approx(1.0) for foot in pose.feet)
        still = walk(person, size, 1.0, 0.1)
        assert abs(pose.legs[0].end[1] - pose.legs[1].end[1]) > abs(still.legs[0].end[1] - still.legs[1].end[1])
    assert np.ptp(arms) > 0.07 * np.mean(arms)
    for name in ("stride", "swing", "lag", "toes"):
        assert len({getattr(person.gait, name) for person in people}) == 60


# other people and things -------------------------------------------------------------------------------------


def test_passers_and_things_keep_clear_of_the_person_the_camera_and_the_wall() -> None:
    views = crowded(400)
    people = [sample_identity(5, number, 0.3) for number in range(400)]
    found: list[tuple[Identity, View, Passer | Occluder]] = []
    for person, view in zip(people, views, strict=True):
        found += [(person, view, passer) for passer in view.passers]
        found += [(person, view, view.occluder)] if view.occluder else []
    assert len(found) > 250
    for person, view, other in found:
        assert clearance(person, view, other) > 0.0
        assert 1.0 < other.place[1] < view.camera.wall - 0.5
    build(people, views, 32, 16)  # which refuses what is nearer than NEAR to the camera
    assert NEAR > 0
    front = [p for view in views for p in view.passers if p.place[1] < view.place[1]]
    assert 0 < len(front) < sum(len(view.passers) for view in views)
    assert not any(view.occluder for view in views if any(p.place[1] < view.place[1] for p in view.passers))


def test_passers_are_none_of_the_numbered_people() -> None:
    numbered = {sample_identity(5, number, CLEAN) for number in range(1000)}
    strangers = [passer.person for view in crowded(300) for passer in view.passers]
    assert len(set(strangers)) == len(strangers) > 100
    assert not numbered & set(strangers)
    assert sample_stranger(5, (1, 2)) == sample_stranger(5, (1, 2)) != sample_stranger(5, (2, 1))


def test_masks_leave_out_passers_and_nobody_is_hidden_for_more_than_two_thirds() -> None:
    views = crowded(240)
    people = [sample_identity(5, number, 0.3) for number in range(240)]
    alone = [replace(view, passers=(), occluder=None) for view in views]
    masks = render_with_masks(people, views, Spectrum.VISIBLE, 48, 24)[1]
    whole = render_with_masks(people, alone, Spectrum.VISIBLE, 48, 24)[1]
    assert not (masks & ~whole).any()
    hidden = 1.0 - masks.sum(dim=(1, 2)) / whole.sum(dim=(1, 2))
    assert 0.4 < float(hidden.max()) <= 0.65
    for share, view in zip(hidden.tolist(), views, strict=True):
        if view.occluder is None and all(passer.place[1] > view.place[1] for passer in view.passers):
            assert share == 0.0


def test_passers_turn_and_walk_like_people() -> None:
    """A passer-by is drawn exactly as the same person would be, standing there as the picture's own."""
    _, (view, *_) = walkers(1)
    one, two = sample_identity(7, 0, 0.0), sample_identity(7, 1, 0.0)
    place = beside(view.place, 1.5, 0.4)
    together = replace(view, passers=(Passer(two, place, 2.0, 1.0, 0.9),))
    scene = build([one], [together], 32, 16)
    other = build([two], [replace(view, place=place, yaw=2.0, phase=1.0, stride=0.9)], 32, 16)

    def world(points: Array, at: tuple[float, float], yaw: float) -> Array:
        ahead = np.array([math.sin(yaw), -math.cos(yaw)])
        level = points[..., :1] * np.array([ahead[1], -ahead[0]]) + points[..., 1:2] * ahead
        return np.concatenate([level + np.array(at), points[..., 2:]], axis=-1)

    passer = world(corners(scene.shape)[~scene.body], view.place, view.yaw)
    assert np.allclose(passer, world(corners(other.shape), place, 2.0), atol=1e-9)
    assert np.array_equal(scene.surface[~scene.body], other.surface)


@pytest.mark.parametrize("thing", list(Thing))
def test_things_stand_on_the_floor(thing: Thing) -> None:
    (_, tallest), (_, widest) = SIZES[thing]
    box = corners(frames(np.array(assemble(Occluder(thing, (0.0, 5.0), 0.0, tallest, widest, GREY)).rows)))
    assert -0.03 < box[..., 2].min() <= 1e-9
    assert 0.9 * tallest < box[..., 2].max() < tallest + 0.1
    assert np.ptp(box[..., 0]) > 0.9 * widest


def test_every_thing_occurs() -> None:
    drawn = [sample_occluder(np.random.default_rng(number), (0.0, 5.0), 1.0) for number in range(200)]
    assert {occluder.thing for occluder in drawn if occluder} == set(Thing)


# cameras, crops and the dial ---------------------------------------------------------------------------------


def test_cameras_differ() -> None:
    cameras = [sample_camera(0, number) for number in range(200)]

    def reach(value: Callable[[Camera], float]) -> tuple[float, float]:
        values = [value(camera) for camera in cameras]
        return min(values), max(values)

    (low, high), (poor, good) = reach(lambda c: c.height), reach(lambda c: c.jpeg)
    assert 1.5 <= low < 1.6
    assert 3.9 < high <= 4.0
    assert 75 <= poor < 78
    assert 93 <= good <= 95
    for name in ("focal", "pitch", "wall", "sunlight", "ambient", "lamp", "noise", "coarse"):
        assert len({getattr(camera, name) for camera in cameras}) == 200


def test_the_whole_body_is_inside_at_level_0_and_feet_are_cut_off_at_1() -> None:
    people, views = walkers(48)
    masks = render_with_masks(people, views, Spectrum.VISIBLE, 96, 48)[1]
    edge = torch.ones(96, 48, dtype=torch.bool)
    edge[1:-1, 1:-1] = False
    assert not (masks & edge).any()
    crops = [sample_view(0, n, sample_camera(0, 1), 0, replace(CLEAN, crop=1.0)).crop for n in range(300)]
    cut = [replace(view, crop=crop) for view, crop in zip(views, crops, strict=False)]
    at_bottom = render_with_masks(people, cut, Spectrum.VISIBLE, 96, 48)[1][:, -1].any(dim=1).float()
    assert 0.3 < float(at_bottom.mean()) < 0.8
    missing = np.array([0.5 - scale * (0.5 + down) for _, down, scale in crops])  # shares of the body's height
    assert 0.2 < missing.max() < 0.35


PARTS: dict[str, tuple[set[str], Callable[[list[View]], float]]] = {
    "viewpoint": ({"yaw", "place"}, lambda views: float(np.std([view.yaw for view in views]))),
    "light": (
        {"sun", "sunlight", "ambient", "exposure", "lamp", "air", "span", "warmest"},
        lambda views: float(np.std([math.log(view.exposure) for view in views])),
    ),
    "occlusion": (
        {"occluder", "passers"},
        lambda views: float(np.mean([len(view.passers) + (view.occluder is not None) for view in views])),
    ),
    "crop": ({"crop"}, lambda views: float(np.std([view.crop[1] for view in views]))),
    "noise": ({"noise", "motion"}, lambda views: float(np.mean([view.noise for view in views]))),
    "resolution": ({"native"}, lambda views: -float(np.mean([view.native for view in views]))),
    "lookalikes": (set(), lambda views: 0.0),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_dial_moves_its_own_circumstances_only(part: str) -> None:
    own, statistic = PARTS[part]
    dials = [replace(CLEAN, **{part: level}) for level in (0.0, 0.5, 1.0)]
    views = [[sample_view(8, n, sample_camera(8, n % 3), 0, dial) for n in range(240)] for dial in dials]
    for others in views[1:]:
        for before, after in zip(views[0], others, strict=True):
            for field in fields(View):
                if field.name not in own:
                    assert getattr(before, field.name) == getattr(after, field.name)
    levels = [statistic(each) for each in views]
    if own:
        assert levels[0] < levels[1] < levels[2]
    people = [[sample_identity(8, n, dial) for n in range(40)] for dial in dials]
    assert (people[0] == people[2]) == (part != "lookalikes")


def test_nobody_else_is_in_a_clean_picture_and_some_are_at_the_standard_level() -> None:
    assert not any(view.passers or view.occluder for view in crowded(100, 0.0))
    share = np.mean([bool(view.passers) for view in crowded(600, 0.3)])
    assert 0.1 < share < 0.22
    assert all(view.native == 1.0 for view in crowded(20, 0.0))


def test_lookalikes_share_every_attribute_but_not_all() -> None:
    people = [sample_identity(9, number, replace(CLEAN, lookalikes=1.0)) for number in range(400)]
    words = [
        (round(p.build.height, 1), p.hair, p.hood, p.sleeve, p.open_coat, p.lower, p.bag, p.upper.pattern, p.boots)
        for p in people
    ]
    assert all(len(set(column)) < 30 for column in zip(*words, strict=True))
    colours = [
        tuple(round(math.sqrt(value), 1) for m in (p.upper.base, p.lower_garment.base, p.shoes) for value in m.colour)
        for p in people
    ]
    commonest = max(colours.count(colour) for colour in set(colours))
    assert commonest > 1  # dressed alike as far as colours tell
    together = set(zip(words, colours, strict=True))
    assert len(together) > 0.99 * len(people)
