"""What each spectrum shows of a scene, and what shutter and sensor make of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from tests.synthetic.test_set import crowd
from vireid.synthetic import Identity, Passer, Spectrum, View, render, render_with_masks
from vireid.synthetic.identity import Bag, Hat, Hood, Lower
from vireid.synthetic.materials import Garment, Material, Pattern
from vireid.synthetic.sensor import develop, enlarge, expose, fit_mask, open_shutter, sensor_size

LOUD = Garment(Material((0.9, 0.1, 0.1), 0.9), Material((0.0, 0.1, 0.9), 0.05), Pattern.CHECKS)
FLAT = torch.full((3, 1, 64, 64), 0.18)


def thermal_crowd(count: int) -> tuple[list[Identity], list[View]]:
    """People in long trousers and shirts before a thermal camera that clips nothing and has little noise."""
    people, views = crowd(count, difficulty=0.0)
    dressed = [
        replace(
            person, sleeve=1.0, thickness=0.008, hem=0.05, open_coat=False, hood=Hood.NONE, hat=Hat.NONE, bag=Bag.NONE
        )
        for person in people
    ]
    still = [replace(view, air=12.0, span=40.0, warmest=42.0, noise=0.5, yaw=0.0) for view in views]
    return [replace(person, lower=Lower.TROUSERS) for person in dressed], still


def warmth(people: list[Identity], views: list[View]) -> float:
    pictures, masks = render_with_masks(people, views, Spectrum.THERMAL, 96, 48)
    return float(pictures[..., 0][masks].float().mean())


# thermal -----------------------------------------------------------------------------------------------------


def test_thermal_sees_neither_pattern_nor_colour_nor_infrared_reflectance() -> None:
    people, views = crowd(4)
    paint = Material((0.01, 0.9, 0.4), 0.99)
    painted = [
        replace(person, upper=LOUD, lower_garment=LOUD, inner=LOUD, shoes=paint, skin=paint, hair_colour=paint)
        for person in people
    ]
    pictures = render(people, views, Spectrum.THERMAL, 96, 48)
    assert torch.equal(render(painted, views, Spectrum.THERMAL, 96, 48), pictures)
    assert torch.equal(pictures[..., 0], pictures[..., 1])
    assert torch.equal(pictures[..., 0], pictures[..., 2])


def test_thermal_does_not_depend_on_light() -> None:
    people, views = crowd(3)
    dark = [replace(view, sun=(0.6, 0.0, 0.8), sunlight=(0.0,) * 3, exposure=9.0, lamp=0.01) for view in views]
    assert torch.equal(*(render(people, each, Spectrum.THERMAL, 96, 48) for each in (views, dark)))


def test_thicker_clothes_are_colder_and_bare_skin_is_warmest() -> None:
    people, views = thermal_crowd(4)
    shirts = warmth(people, views)
    assert warmth([replace(person, thickness=0.04) for person in people], views) < shirts - 8
    assert warmth([replace(person, sleeve=0.0) for person in people], views) > shirts + 1
    shorts = [replace(person, lower=Lower.SHORTS, lower_length=0.3, boots=False) for person in people]
    assert warmth(shorts, views) > shirts + 1


def test_a_bag_has_the_temperature_of_the_air() -> None:
    people, views = thermal_crowd(4)
    behind = [replace(view, yaw=math.pi) for view in views]
    bags = [replace(person, bag=Bag.BACKPACK) for person in people]
    bare, packed = (render(who, behind, Spectrum.THERMAL, 192, 96)[..., 0].float() for who in (people, bags))
    hidden = bare - packed > 80
    assert hidden.sum() > 1600
    air = 255.0 * (12.0 - (42.0 - 40.0)) / 40.0
    assert float(packed[hidden].median()) == pytest.approx(air, abs=16)


def test_a_thermal_picture_is_soft_and_its_gain_is_the_views() -> None:
    people, views = thermal_crowd(2)
    wide = [replace(view, span=80.0) for view in views]
    high = [replace(view, warmest=46.0) for view in views]
    usual = render(people, views, Spectrum.THERMAL, 96, 48)[..., 0].float()
    assert float((usual - render(people, high, Spectrum.THERMAL, 96, 48)[..., 0]).mean()) == pytest.approx(25.5, abs=1)
    assert float(render(people, wide, Spectrum.THERMAL, 96, 48)[..., 0].float().std() / usual.std()) < 0.6
    alike = [replace(view, native=0.5) for view in views]  # a sensor of the same size
    infrared = render(people, alike, Spectrum.NEAR, 96, 48)[..., 0].float()

    def edge(picture: torch.Tensor) -> float:
        return float(picture.diff(dim=2).abs().amax() / (picture.amax() - picture.amin()))

    assert edge(usual) < 0.7 * edge(infrared)


def test_clothes_lie_otherwise_in_every_image() -> None:
    people, views = thermal_crowd(2)
    pictures, masks = render_with_masks(people, [replace(view, noise=0.0) for view in views], Spectrum.THERMAL, 96, 48)
    later = render(people, [replace(view, noise=0.0, key=(9, *view.key)) for view in views], Spectrum.THERMAL, 96, 48)
    change = (pictures.int() - later.int()).abs().amax(dim=-1)
    assert float(change[masks].float().mean()) > 2
    reached = max_pool2d(masks.float(), 15, stride=1, padding=7) > 0  # by blur and enlargement
    assert int(change[~reached].max()) == 0


def test_a_thermal_sensors_noise_is_slow_in_part() -> None:
    _, (view,) = crowd(1)
    heat = torch.full((1, 1, 144, 72), 20.0)
    noise = develop(heat, [replace(view, span=24.0, warmest=32.0, noise=8.0)])[..., 0].float()
    patches = avg_pool2d(noise, 24)
    assert float(patches.std()) > 2.0  # fine noise and columns would leave 0.5
    assert float(noise.diff(dim=1).std()) > 2.0


# light and shadow --------------------------------------------------------------------------------------------


def test_shadows_point_away_from_the_sun_and_only_daylight_casts_them() -> None:
    people, views = crowd(3, difficulty=0.0)
    wide = [replace(view, crop=(0.0, 0.0, 1.4), place=(0.0, 6.0), yaw=0.0) for view in views]

    def lit_from(side: float, spectrum: Spectrum) -> tuple[torch.Tensor, torch.Tensor]:
        sunny = [replace(view, sun=(side * 0.8, 0.0, 0.6), sunlight=(0.8,) * 3) for view in wide]
        pictures, masks = render_with_masks(people, sunny, spectrum, 96, 96)
        return pictures.float().mean(dim=-1), masks

    (right, masks), (left, _) = lit_from(1.0, Spectrum.VISIBLE), lit_from(-1.0, Spectrum.VISIBLE)
    change = torch.where(masks, 0.0, right - left)[:, 64:90]  # the floor about the feet
    assert float(change[:, :, :40].mean()) < -3  # the sun on the right darkens the left
    assert float(change[:, :, 56:].mean()) > 3
    for spectrum in (Spectrum.NEAR, Spectrum.THERMAL):
        assert torch.equal(lit_from(1.0, spectrum)[0], lit_from(-1.0, spectrum)[0])


def test_a_taller_body_casts_a_longer_shadow_and_passers_cast_theirs() -> None:
    people, views = crowd(1, difficulty=0.0)
    view = replace(views[0], place=(0.0, 6.0), sun=(0.8, 0.0, 0.6), crop=(0.0, 0.0, 1.2), noise=0.0)

    def floor(passers: tuple[Passer, ...]) -> torch.Tensor:
        pictures, masks = render_with_masks(people, [replace(view, passers=passers)], Spectrum.VISIBLE, 96, 48)
        return torch.where(masks, 0, pictures.int().sum(dim=-1))

    def beside(tall: float) -> Passer:
        person = replace(people[0], build=replace(people[0].build, height=tall))
        return Passer(person, (2.0, 6.2), 0.0, 0.0, 1.0)  # outside the picture

    alone, short, tall = (int(floor(passers).sum()) for passers in ((), (beside(1.5),), (beside(1.9),)))
    assert tall < short < alone


def test_the_lamps_light_is_brightest_straight_ahead() -> None:
    people, views = crowd(1, difficulty=0.0)
    levels = []
    for turn in (0.0, 0.25):
        view = replace(views[0], place=(6.0 * math.sin(turn), 6.0 * math.cos(turn)), yaw=turn, lamp=0.5)
        pictures, masks = render_with_masks(people, [view], Spectrum.NEAR, 96, 48)
        levels.append(float(pictures[..., 0][masks].float().mean()))
    assert levels[1] < 0.97 * levels[0]


# shutter -----------------------------------------------------------------------------------------------------


def scene_in_motion() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, list[View]]:
    """Light, coverage, the person's share and the background of a person who moves, and a post before them."""
    _, views = crowd(1)
    torch.manual_seed(0)
    person = torch.zeros(1, 24, 20)
    person[:, 7:17, 8:13] = torch.rand(1, 10, 5)
    post = torch.zeros(1, 24, 20)
    post[:, 5:20, 11:13] = 1.0
    light = torch.rand(3, 1, 24, 20)
    behind = torch.rand(3, 1, 24, 20)
    return light, post, person, behind, [replace(views[0], motion=(4 / 20 * 20 / 24, 3 / 24))]


def test_motion_smears_the_person_as_a_naive_shutter_does() -> None:
    light, _, person, behind, views = scene_in_motion()
    light = light * person
    got = open_shutter(light, person, person, behind, views)
    across, down = views[0].motion
    expected = torch.zeros_like(got)
    for moment in range(9):
        right, lower = (math.floor(24 * each * (moment / 8 - 0.5) + 0.5) for each in (across, down))
        for row in range(24):
            for column in range(20):
                source = min(max(row - lower, 0), 23), min(max(column - right, 0), 19)
                still = behind[:, 0, row, column] * (1 - person[0][source])
                expected[:, 0, row, column] += (light[:, 0, source[0], source[1]] + still) / 9
    assert torch.allclose(got, expected, atol=1e-5)
    assert not torch.allclose(got, light + behind * (1 - person), atol=1e-2)


def test_motion_conserves_light_and_leaves_everything_else_sharp() -> None:
    light, post, person, behind, views = scene_in_motion()
    alone = open_shutter(light * person, person, person, torch.zeros_like(behind), views)
    assert torch.allclose(alone.sum(dim=(2, 3)), (light * person).sum(dim=(2, 3)), rtol=1e-5)
    visible = person * (1 - post)
    covered = visible + post
    got = open_shutter(light * covered, covered, visible, behind, views)
    far = torch.ones_like(covered, dtype=torch.bool)
    far[:, 5:20, 6:15] = False  # person, post and two pixels of motion either way
    assert torch.equal(got[:, far], behind[:, far])
    assert torch.allclose(got[:, post == 1], light[:, post == 1], atol=1e-6)
    assert torch.equal(
        open_shutter(light * covered, covered, visible, behind, [replace(views[0], motion=(0.0, 0.0))]),
        light * covered + behind * (1 - covered),
    )


def test_no_background_shines_between_a_moving_person_and_a_post_before_them() -> None:
    _, post, _, _, views = scene_in_motion()
    light = torch.ones(3, 1, 24, 20)
    got = open_shutter(light, torch.ones_like(post), 1 - post, torch.zeros_like(light), views)
    assert torch.allclose(got, light, atol=1e-5)


def test_masks_stay_sharp_while_the_person_moves() -> None:
    people, views = crowd(3, difficulty=0.0)
    still = [replace(view, motion=(0.0, 0.0)) for view in views]
    moving = [replace(view, motion=(0.1, 0.0)) for view in views]
    (sharp, masks), (blurred, moved) = (
        render_with_masks(people, each, Spectrum.VISIBLE, 96, 48) for each in (still, moving)
    )
    assert torch.equal(masks, moved)
    assert not torch.equal(sharp, blurred)
    reached = max_pool2d(masks.float(), (1, 11), stride=1, padding=(0, 5)) > 0
    assert torch.equal(sharp[~reached], blurred[~reached])


# sensor ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spectrum", list(Spectrum))
def test_bytes_do_not_depend_on_the_batch_of_unlike_sensors_nor_on_threads(
    spectrum: Spectrum, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, views = crowd(4, difficulty=1.0)
    views = [replace(view, native=native) for view, native in zip(views, (1.0, 0.25, 0.81, 1.0), strict=True)]
    whole, masks = render_with_masks(people, views, spectrum, 160, 80)
    singles = [render_with_masks([p], [v], spectrum, 160, 80) for p, v in zip(people, views, strict=True)]
    assert torch.equal(whole, torch.cat([picture for picture, _ in singles]))
    assert torch.equal(masks, torch.cat([mask for _, mask in singles]))
    monkeypatch.setattr("vireid.synthetic.renderer.BATCH_SAMPLES", 2 * 2 * 160 * 80)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert torch.equal(render(people, views, spectrum, 160, 80), whole)
    finally:
        torch.set_num_threads(threads)


def test_a_coarse_sensor_shows_less_detail_and_keeps_the_person_in_place() -> None:
    people, views = crowd(4, difficulty=0.0)
    fine, coarse = ([replace(view, native=native, noise=0.0) for view in views] for native in (1.0, 0.25))
    (sharp, masks), (blocky, nearly) = (
        render_with_masks(people, each, Spectrum.VISIBLE, 128, 64) for each in (fine, coarse)
    )
    assert blocky.shape == sharp.shape
    assert float(blocky.float().diff(dim=1).abs().mean()) < 0.6 * float(sharp.float().diff(dim=1).abs().mean())
    assert float((masks & nearly).sum() / (masks | nearly).sum()) > 0.85


def test_sensors_come_in_eighths_and_thermal_ones_have_half_the_rows_at_most() -> None:
    _, (view,) = crowd(1)
    sizes = [sensor_size(replace(view, native=n), Spectrum.NEAR, 288, 144) for n in (1.0, 0.95, 0.9, 0.26, 0.01)]
    assert sizes == [(288, 144), (288, 144), (252, 126), (72, 36), (36, 18)]
    assert sensor_size(replace(view, native=1.0), Spectrum.THERMAL, 288, 144) == (144, 72)
    assert sensor_size(replace(view, native=0.3), Spectrum.THERMAL, 288, 144) == (72, 36)
    assert sensor_size(replace(view, native=0.1), Spectrum.THERMAL, 16, 8) == (8, 8)


@pytest.mark.parametrize(
    ("size", "larger"), [((9, 5), (36, 18)), ((8, 8), (8, 20)), ((7, 6), (7, 6)), ((6, 4), (5, 3))]
)
def test_enlarging_is_bilinear_and_masks_take_the_nearest(size: tuple[int, int], larger: tuple[int, int]) -> None:
    torch.manual_seed(1)
    image = 255.0 * torch.rand(2, *size, 3)
    expected = interpolate(image.permute(0, 3, 1, 2), larger, mode="bilinear").permute(0, 2, 3, 1)
    assert torch.allclose(enlarge(image, *larger), expected, atol=1e-3)
    mask = torch.rand(2, *size) > 0.5
    nearest = interpolate(mask[:, None].float(), larger, mode="nearest-exact")[:, 0] > 0.5
    assert torch.equal(fit_mask(mask, *larger), nearest)


def test_noise_grows_with_the_gain() -> None:
    _, (view,) = crowd(1)
    quiet, loud = (
        expose(FLAT / gain, [replace(view, exposure=gain, noise=4.0)], Spectrum.VISIBLE).float() for gain in (1.0, 4.0)
    )
    assert float(quiet.mean()) == pytest.approx(float(loud.mean()), abs=1)
    assert float(loud.std() / quiet.std()) == pytest.approx(2.0, rel=0.05)
