"""Nothing but the person says who is in a picture: background, files, histograms, splits.

Each probe is shown to find what it looks for where it is planted.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.reference.leakage import (
    Finding,
    Pictures,
    background,
    borders,
    by_fact,
    compared_histograms,
    file_facts,
    learned_histograms,
    named_by_ridge,
    nearest_background,
    shoot,
    size_of_corners,
    size_of_people,
)
from vireid.data.layouts import open_dataset
from vireid.synthetic import (
    Spectrum,
    render,
    sample_camera,
    sample_identity,
    sample_view,
    synthetic_set,
    write_tree,
)
from vireid.synthetic.attributes import describe
from vireid.synthetic.plans import plan
from vireid.types import Sample

CHANCE = 4.0  # standard errors; chance takes one finding in 30,000 that far
FOUND = 6.0
PEOPLE = range(1, 49)


def findings(pictures: Pictures) -> dict[str, Finding]:
    """Everything that is asked of a background."""
    pixels, _ = background(pictures)
    found = {
        "nearest, same camera": nearest_background(pictures, across_cameras=False),
        "nearest, across cameras": nearest_background(pictures, across_cameras=True),
    }
    for name, features in (("pixels", pixels), ("borders", borders(pictures))):
        first = pictures.cameras == 1
        mine = pictures[first]
        found[f"ridge on {name}, same camera"] = named_by_ridge(mine, features[first], mine.images <= 3)
        found[f"ridge on {name}, across cameras"] = named_by_ridge(pictures, features, first)
    return found


@pytest.mark.parametrize("spectrum", list(Spectrum))
def test_backgrounds_do_not_tell_who_stands_before_them(spectrum: Spectrum) -> None:
    pictures = shoot(PEOPLE, (1, 4), 5, spectrum)
    assert {name: found for name, found in findings(pictures).items() if found.excess > CHANCE} == {}
    # the same pictures with the people, and with a background whose light is a little different for everybody
    bodies = (pictures.pixels * pictures.body[..., None]).reshape(len(pictures.body), -1).astype(np.float64)
    assert named_by_ridge(pictures, bodies, pictures.cameras == 1).excess > FOUND
    tints = np.random.default_rng(0).normal(0.0, 10.0, (len(PEOPLE) + 1, 3))[pictures.people]
    planted = replace(pictures, pixels=(pictures.pixels + tints[:, None, None]).clip(0, 255).astype(np.uint8))
    assert {name: found for name, found in findings(planted).items() if found.excess < FOUND} == {}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("leakage") / "set"
    write_tree(root, synthetic_set("sysu", 24, images=3, height=64, width=32))
    return root


def all_samples(root: Path) -> tuple[Sample, ...]:
    dataset = open_dataset(root)
    return (*dataset.train, *dataset.test)


def test_files_say_nothing_beside_the_picture_and_its_folder(tree: Path) -> None:
    samples = all_samples(tree)
    facts = file_facts(samples)
    for name in ("modification time", "number in the name", "JPEG tables and header"):
        for across in (False, True):
            assert by_fact(facts[name], samples, across_cameras=across).excess < CHANCE, name
    assert len(np.unique(facts["modification time"])) == 1
    tables = Counter(
        (sample.camera, kind) for sample, kind in zip(samples, facts["JPEG tables and header"], strict=True)
    )
    assert len(tables) == 6  # a camera has one
    order = np.array([float(sample.identity) for sample in samples])  # as if they had been written person by person
    assert by_fact(order, samples, across_cameras=False).excess > FOUND


def test_a_file_is_a_function_of_its_pixels_and_its_camera(tree: Path) -> None:
    """So its size can say no more than the picture does."""
    settings = synthetic_set("sysu", 24, images=3, height=64, width=32)
    for shot in plan(settings).shots[::60]:
        camera = sample_camera(settings.seed, shot.camera)
        view = sample_view(settings.seed, shot.identity, camera, shot.image, settings.difficulty)
        person = sample_identity(settings.seed, shot.identity, settings.difficulty)
        pixels = render([person], [view], shot.spectrum, 64, 32)[0].numpy()
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=camera.jpeg)
        assert (tree / shot.path).read_bytes() == buffer.getvalue()


def test_file_sizes_tell_clothes_apart_but_not_backgrounds() -> None:
    pictures = shoot(range(1, 97), (1, 4), 4, height=96)
    assert size_of_corners(pictures).excess < CHANCE
    assert size_of_people(pictures).excess > FOUND  # a known shortcut: stripes compress worse than plain cloth


@pytest.mark.parametrize("level", [0.2, 0.3])
def test_histograms_do_not_match_day_with_night(level: float) -> None:
    people = range(1, 201)
    visible = shoot(people, (1, 4), 1, Spectrum.VISIBLE, level)
    infrared = shoot(people, (3, 6), 1, Spectrum.NEAR, level)
    assert compared_histograms(infrared, visible, body=False).excess < CHANCE
    first, second = visible[visible.cameras == 1], visible[visible.cameras == 4]
    assert compared_histograms(first, second, body=True).excess > FOUND
    assert learned_histograms(second, first, body=True).excess > FOUND


def test_the_people_of_test_and_training_share_no_person(tree: Path) -> None:
    dataset = open_dataset(tree)
    train, test = ({sample.identity for sample in part} for part in (dataset.train, dataset.test))
    assert len(train | test) == 24
    assert not train & test
    who = [[tuple(describe(sample_identity(0, number)).values()) for number in part] for part in (train, test)]
    assert not set(who[0]) & set(who[1])


def test_a_thousand_people_are_a_thousand() -> None:
    people = [tuple(describe(sample_identity(0, number, 1.0)).values()) for number in range(1, 1001)]
    assert len(set(people)) == 1000


def test_attributes_are_balanced() -> None:
    """Every value of every named attribute occurs, none hides the others, and visible look does not foretell build."""
    people = [sample_identity(0, number, 0.3) for number in range(1, 1001)]
    labels = [describe(person) for person in people]
    rare = {}
    for name in ("skin", "hair", "hair_colour", "hat", "hood", "upper", "upper_colour", "upper_pattern", "lower",
                 "lower_colour", "footwear", "footwear_colour", "bag"):  # fmt: skip
        shares = {value: count / 1000 for value, count in Counter(label[name] for label in labels).items()}
        rare |= {(name, value): share for value, share in shares.items() if not 0.015 < share < 0.85}
    assert rare == {}
    heights = np.array([person.build.height for person in people])
    assert 1.68 < heights.mean() < 1.74
    sides = Counter(label["bag_side"] for label in labels if label["bag_side"])
    assert 0.8 < sides["left"] / sides["right"] < 1.25
