"""The renderer: geometry against a naive tracer, same bytes always, what each modality may depend on."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.rays import first_hit
from vireid.synthetic import (
    Difficulty,
    Identity,
    Spectrum,
    View,
    render,
    render_with_masks,
    sample_camera,
    sample_identity,
    sample_view,
)
from vireid.synthetic.body import measure, walk
from vireid.synthetic.geometry import build
from vireid.synthetic.identity import Bag, Hair, Hat, Hood, Lower
from vireid.synthetic.materials import Material, Pattern
from vireid.synthetic.occluders import Occluder, Thing, beside
from vireid.synthetic.raster import trace
from vireid.synthetic.shapes import frames
from vireid.types import VireidError

CPU = torch.device("cpu")


def crowd(count: int, difficulty: float = 0.6, camera: int = 1) -> tuple[list[Identity], list[View]]:
    people = [sample_identity(3, number, difficulty) for number in range(count)]
    place = sample_camera(3, camera)
    return people, [sample_view(3, number, place, 0, difficulty) for number in range(count)]


def painted(material: Material, colour: float | None = None, infrared: float | None = None) -> Material:
    return Material(
        material.colour if colour is None else (colour, colour, colour),
        material.infrared if infrared is None else infrared,
    )


# geometry ----------------------------------------------------------------------------------------------------


def test_trace_agrees_with_a_naive_tracer() -> None:
    people, views = crowd(4, difficulty=1.0)
    people[0] = replace(people[0], open_coat=True, hem=0.3, thickness=0.03)
    rows, columns = 48, 24
    scene = build(people, views, rows // 2, columns)
    hits = trace(scene, len(people), rows, columns, CPU)
    found = dict(zip(hits.sample.tolist(), zip(hits.primitive.tolist(), hits.depth.tolist(), strict=True), strict=True))
    differing = 0
    for sample in range(len(people) * rows * columns):
        image, place = divmod(sample, rows * columns)
        expected = first_hit(scene, image, *divmod(place, columns))
        got = found.get(sample)
        if expected is None or got is None or expected[0] != got[0]:
            differing += (expected is None) != (got is None) or expected is not None
        else:
            assert got[1] == pytest.approx(expected[1], abs=2e-4)
    # float32 against float64: a ray in a thousand may pass on the other side of an edge
    assert differing <= 0.001 * len(people) * rows * columns
    assert len(found) > 0.15 * len(people) * rows * columns


def test_hits_lie_on_their_surfaces() -> None:
    people, views = crowd(3)
    scene = build(people, views, 64, 64)
    hits = trace(scene, 3, 128, 64, CPU)
    x, y, z = (value.double() for value in hits.point)
    k0, k1, k2 = (torch.as_tensor(scene.shape.quadric[:, i])[hits.primitive] for i in range(3))
    assert torch.allclose(x * x + y * y, k0 + k1 * z + k2 * z * z, atol=5e-3)


@given(st.integers(0, 300), st.floats(0.0, 2 * math.pi), st.floats(0.7, 1.1))
@settings(max_examples=60, deadline=None)
def test_a_foot_is_always_on_the_ground_and_none_below_it(number: int, phase: float, stride: float) -> None:
    person = sample_identity(0, number, 0.2)
    size = measure(person)
    pose = walk(person, size, phase, stride)
    soles = []
    for leg, (_, ahead, rise) in zip(pose.legs, pose.feet, strict=True):
        _, y, z = leg.end
        ankle = np.array([y, z]) - size.ankle * np.array([-rise, ahead]) / math.hypot(rise, ahead)
        soles.append(min(ankle[1] + 0.15 * rise, ankle[1] - 0.06 * rise))
        thigh = math.dist(leg.root, leg.middle)
        assert thigh == pytest.approx(size.thigh)
        assert leg.middle[2] > leg.end[2]
    assert min(soles) == pytest.approx(0.0, abs=0.02)
    assert pose.head[2] + size.head[2] == pytest.approx(size.stature, abs=0.12)


@pytest.mark.parametrize("number", range(6))
def test_no_leg_comes_through_a_long_skirt(number: int) -> None:
    person = replace(
        sample_identity(1, number, 0.0), lower=Lower.SKIRT, lower_length=0.6, boots=False, bag=Bag.NONE, open_coat=False
    )
    skin = replace(person, skin=Material((0.123, 0.0, 0.0), 0.5))
    _, views = crowd(8, 1.0)
    views = [replace(view, phase=index * math.pi / 4, occluder=None, passers=()) for index, view in enumerate(views)]
    scene = build([skin] * 8, views, 64, 64)
    hits = trace(scene, 8, 128, 64, CPU)
    bare = torch.as_tensor(scene.surface[:, 0] == 0.123)[hits.primitive]
    size = measure(person)
    length = 0.6 * 0.9 * (size.thigh + size.shin)
    primitive = hits.primitive.numpy()
    local = torch.stack(hits.point, 1).double().numpy()
    shape = scene.shape
    axes = shape.frame[primitive] * shape.scale[primitive][:, :, None] ** 2
    world = shape.centre[primitive] + (local[:, :, None] * axes).sum(axis=1)
    under = (
        (np.abs(world[:, 0]) < 1.6 * size.hip_x)
        & (world[:, 2] < size.hip - 0.1)
        & (world[:, 2] > size.hip - length + 0.06)
    )
    assert under.sum() > 300
    assert not bare.numpy()[under].any()


def test_frames_are_orthonormal_and_right_handed() -> None:
    people, views = crowd(2)
    shape = build(people, views, 32, 16).shape
    axes = shape.frame * shape.scale[:, :, None]
    assert np.allclose(axes @ axes.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(axes), 1.0)
    rows = np.array([[0, 0, 0, 0, 0, 2, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 2, 9, 0]], dtype=float)
    assert np.allclose(frames(rows).frame[0], np.eye(3))


# the same bytes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", list(Spectrum))
def test_bytes_do_not_depend_on_the_batch(modality: Spectrum, monkeypatch: pytest.MonkeyPatch) -> None:
    people, views = crowd(7)
    whole = render(people, views, modality, 72, 36)
    alone = torch.cat([render([p], [v], modality, 72, 36) for p, v in zip(people, views, strict=True)])
    assert torch.equal(whole, alone)
    order = [3, 0, 6, 1, 5, 2, 4]
    shuffled = render([people[i] for i in order], [views[i] for i in order], modality, 72, 36)
    assert torch.equal(shuffled, whole[order])
    monkeypatch.setattr("vireid.synthetic.renderer.BATCH_SAMPLES", 3 * 4 * 72 * 36)
    assert torch.equal(render(people, views, modality, 72, 36), whole)
    monkeypatch.setattr("vireid.synthetic.raster.TESTS", 5000)
    assert torch.equal(render(people[:2], views[:2], modality, 72, 36), whole[:2])


@pytest.mark.parametrize("modality", list(Spectrum))
def test_bytes_do_not_depend_on_threads(modality: Spectrum) -> None:
    people, views = crowd(2)
    threads = torch.get_num_threads()
    pictures = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            pictures.append(render(people, views, modality, 160, 80))  # large enough to be shared among threads
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*pictures)


def test_pictures_are_those_of_version_2() -> None:
    """A change here changes every synthetic set: raise `tree.VERSION` and record the new digest."""
    people, views = crowd(2, difficulty=0.5)
    digest = hashlib.sha256()
    for modality in Spectrum:
        digest.update(render(people, views, modality, 48, 24).numpy().tobytes())
    assert digest.hexdigest()[:16] == "edce06d3c1500ccf"


# what each modality depends on -------------------------------------------------------------------------------


def test_infrared_ignores_colour_and_visible_ignores_infrared_reflectance() -> None:
    people, views = crowd(3)
    grey = [
        replace(p, upper=replace(p.upper, base=painted(p.upper.base, colour=0.5)), shoes=painted(p.shoes, colour=0.9))
        for p in people
    ]
    lamp = [replace(p, upper=replace(p.upper, base=painted(p.upper.base, infrared=0.9))) for p in people]

    def pair(crowd: list[Identity]) -> list[torch.Tensor]:
        return [render(crowd, views, modality, 64, 32) for modality in (Spectrum.VISIBLE, Spectrum.NEAR)]

    (visible, infrared), (grey_visible, grey_infrared), (lamp_visible, lamp_infrared) = map(pair, (people, grey, lamp))
    assert torch.equal(infrared, grey_infrared)
    assert not torch.equal(visible, grey_visible)
    assert torch.equal(visible, lamp_visible)
    assert not torch.equal(infrared, lamp_infrared)


@pytest.mark.parametrize("pattern", list(Pattern)[1:])
def test_a_pattern_shows_in_both_modalities_and_vanishes_where_reflectances_agree(pattern: Pattern) -> None:
    people, views = crowd(1, difficulty=0.0)
    base, accent = Material((0.1, 0.1, 0.1), 0.2), Material((0.8, 0.2, 0.1), 0.8)
    person = replace(
        people[0], open_coat=False, upper=replace(people[0].upper, base=base, accent=accent, pattern=pattern)
    )
    hidden = replace(person, upper=replace(person.upper, accent=painted(accent, infrared=0.2)))
    plain = replace(person, upper=replace(person.upper, pattern=Pattern.PLAIN))
    views = [replace(views[0], yaw=0.2)]

    def infrared(who: Identity) -> torch.Tensor:
        return render([who], views, Spectrum.NEAR, 96, 48)

    assert (infrared(person).int() - infrared(plain).int()).abs().gt(20).sum() > 150
    assert torch.equal(infrared(hidden), infrared(plain))
    assert not torch.equal(
        render([hidden], views, Spectrum.VISIBLE, 96, 48), render([plain], views, Spectrum.VISIBLE, 96, 48)
    )


def test_infrared_has_no_colour_and_visible_has() -> None:
    people, views = crowd(4)
    infrared = render(people, views, Spectrum.NEAR, 64, 32)
    assert torch.equal(infrared[..., 0], infrared[..., 1])
    assert torch.equal(infrared[..., 0], infrared[..., 2])
    visible = render(people, views, Spectrum.VISIBLE, 64, 32).float()
    assert (visible[..., 0] - visible[..., 2]).abs().mean() > 4


def test_lamp_light_falls_off_with_distance() -> None:
    people, views = crowd(1, difficulty=0.0)
    levels = []
    for distance in (4.0, 8.0):
        view = replace(views[0], place=(0.0, distance), lamp=0.4)
        pictures, masks = render_with_masks(people, [view], Spectrum.NEAR, 96, 48)
        levels.append(float(pictures[..., 0][masks].float().mean()))
    assert levels[0] > levels[1]  # although the camera turns its gain up for far people


def test_patterns_turn_with_the_body() -> None:
    people, views = crowd(1, difficulty=0.0)
    logo = Material((0.9, 0.9, 0.9), 0.9)
    dark = Material((0.01, 0.01, 0.01), 0.01)
    upper = replace(people[0].upper, base=dark, accent=logo, pattern=Pattern.LOGO, period=0.12)
    person = replace(people[0], upper=upper, open_coat=False, bag=Bag.NONE, hood=Hood.NONE, hair=Hair.SHORT)
    plain = replace(person, upper=replace(upper, pattern=Pattern.PLAIN))

    def shown(yaw: float) -> int:
        view = [replace(views[0], yaw=yaw)]
        pair = [render([who], view, Spectrum.VISIBLE, 96, 48).int() for who in (person, plain)]
        return int((pair[0] - pair[1]).abs().sum(dim=-1).gt(60).sum())

    front_view, side_view, back_view = shown(0.0), shown(math.pi / 2), shown(math.pi)
    assert front_view > 60
    assert side_view < 0.5 * front_view
    assert back_view == 0


def test_masks_cover_the_person_and_not_the_occluder() -> None:
    people, views = crowd(6, difficulty=0.0)
    pictures, masks = render_with_masks(people, views, Spectrum.VISIBLE, 96, 48)
    assert pictures.shape == (6, 96, 48, 3)
    assert pictures.dtype == torch.uint8
    assert masks.shape == (6, 96, 48)
    assert masks.dtype == torch.bool
    share = masks.float().mean(dim=(1, 2))
    assert float(share.min()) > 0.12
    assert float(share.max()) < 0.6
    assert not masks[:, 0].any()
    assert not masks[:, -1].any()
    grey = Material((0.5, 0.5, 0.5), 0.5)
    post = [
        replace(view, occluder=Occluder(Thing.POST, beside(view.place, -1.0, 0.0), 0.0, 1.2, 0.3, grey))
        for view in views
    ]
    hidden = render_with_masks(people, post, Spectrum.VISIBLE, 96, 48)[1]
    assert not (hidden & ~masks).any()
    assert hidden.sum() < 0.8 * masks.sum()


def test_an_empty_list_gives_no_pictures_and_unequal_lists_an_error() -> None:
    people, views = crowd(2)
    assert render([], [], Spectrum.VISIBLE, 16, 8).shape == (0, 16, 8, 3)
    with pytest.raises(VireidError, match="views: expected one for each of the 2 people, got 1"):
        render(people, views[:1], Spectrum.VISIBLE, 16, 8)
    with pytest.raises(VireidError, match="in front of the camera"):
        render(people, [views[0], replace(views[1], place=(0.0, -2.0))], Spectrum.VISIBLE, 16, 8)
    with pytest.raises(VireidError, match="at least 8 pixels"):
        render(people, views, Spectrum.VISIBLE, 4, 4)


# people and views --------------------------------------------------------------------------------------------


def test_people_differ_and_every_attribute_occurs() -> None:
    people = [sample_identity(0, number, 0.0) for number in range(400)]
    assert len(set(people)) == 400
    for name, kind in (("hair", Hair), ("hat", Hat), ("hood", Hood), ("lower", Lower), ("bag", Bag)):
        assert {getattr(person, name) for person in people} == set(kind)
    assert {person.upper.pattern for person in people} == set(Pattern)


def test_infrared_reflectance_follows_lightness_only_in_part_and_less_when_harder() -> None:
    def agreement(difficulty: float) -> float:
        cloth = [sample_identity(0, number, difficulty).upper.base for number in range(500)]
        pairs = np.array([(0.3 * r + 0.59 * g + 0.11 * b, m.infrared) for m in cloth for r, g, b in [m.colour]])
        return float(np.corrcoef(np.sqrt(pairs.T))[0, 1])

    assert 0.5 < agreement(0.0) < 0.9
    assert abs(agreement(1.0)) < 0.15


def test_difficulty_spreads_views_and_makes_people_alike() -> None:
    camera = sample_camera(0, 1)

    def spread(difficulty: float) -> tuple[float, ...]:
        views = [sample_view(0, number, camera, 0, difficulty) for number in range(200)]
        people = [sample_identity(0, number, difficulty) for number in range(200)]
        return (
            float(np.std([view.yaw for view in views])),
            float(np.std([math.log(view.exposure) for view in views])),
            float(np.std([view.crop for view in views], axis=0).min()),
            float(np.mean([view.noise for view in views])),
            float(np.mean([view.occluder is not None for view in views])),
            -float(np.std([person.build.height for person in people])),
            -float(np.mean([person.upper.pattern is not Pattern.PLAIN for person in people])),
        )

    levels = np.array([spread(difficulty) for difficulty in (0.0, 0.5, 1.0)])
    assert (np.diff(levels, axis=0) > 0).all()
    assert levels[0, 4] == 0.0


@pytest.mark.parametrize("difficulty", [-0.1, 1.01, math.nan])
def test_difficulty_out_of_range_is_refused(difficulty: float) -> None:
    with pytest.raises(VireidError, match=r"difficulty: expected a number from 0 \(clean\) to 1 \(hard\)"):
        sample_identity(0, 1, difficulty)
    with pytest.raises(VireidError, match=r"noise: expected a number from 0 \(clean\) to 1 \(hard\)"):
        Difficulty(noise=difficulty)
