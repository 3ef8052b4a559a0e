"""The ground truth in words: true to the people, true to the views, enough to tell everybody apart."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from vireid.synthetic import attributes, materials
from vireid.synthetic.attributes import agreement, describe, describe_view, label_rows, label_table
from vireid.synthetic.identity import Bag, Hat, sample_identity
from vireid.synthetic.materials import dye
from vireid.synthetic.plans import plan
from vireid.synthetic.settings import synthetic_set
from vireid.synthetic.view import sample_camera, sample_view


@pytest.mark.parametrize("difficulty", [0.0, 0.3, 1.0])
def test_an_oracle_that_reads_the_labels_finds_everybody(difficulty: float) -> None:
    people = [describe(sample_identity(2, number, difficulty)) for number in range(1, 301)]
    codes = np.array([[hash(value) for value in labels.values()] for labels in people])
    agree = (codes[:, None] == codes[None]).mean(axis=2)
    assert agree[3, 8] == pytest.approx(agreement(people[3], people[8]))
    np.fill_diagonal(agree, 0.0)
    assert (agree.max(axis=1) < 1.0).mean() > 0.99
    assert agreement(people[0], describe(sample_identity(2, 1, difficulty))) == 1.0


@pytest.mark.parametrize("kind", ["CLOTH", "BOTTOMS", "LEATHER", "SKIN", "HAIR"])
def test_every_colour_of_a_palette_has_its_name(kind: str) -> None:
    palette, names = getattr(materials, kind), getattr(attributes, f"{kind}_NAMES")
    jitter = 0.015 if kind == "SKIN" else 0.02 if kind == "HAIR" else 0.05
    assert len(names) == len(palette) == len(set(names))
    rng = np.random.default_rng(0)
    for colour, name in zip(palette, names, strict=True):
        found = [attributes._named(dye(rng, (colour,), 0.5, jitter), palette, names) for _ in range(50)]
        assert found.count(name) >= 49


def test_labels_say_what_is_worn_and_leave_the_rest_empty() -> None:
    person = sample_identity(0, 1)
    bare = describe(replace(person, hat=Hat.NONE, bag=Bag.NONE, open_coat=False))
    assert bare["hat_colour"] == bare["bag_colour"] == bare["bag_side"] == bare["inner_colour"] == ""
    full = describe(replace(person, hat=Hat.CAP, bag=Bag.HAND, bag_side=-1, open_coat=True))
    assert full["hat"] == "cap"
    assert full["bag"] == "handbag"
    assert full["bag_side"] == "left"
    assert full["upper"] == "coat"
    assert full["hat_colour"] in attributes.CLOTH_NAMES
    assert full["height_cm"] == str(round(100 * person.build.height))


@pytest.mark.parametrize(("yaw", "side"), [(0, "front"), (90, "right"), (180, "back"), (-90, "left"), (44, "front")])
def test_the_facing_side_is_the_one_towards_the_camera(yaw: float, side: str) -> None:
    view = replace(sample_view(0, 1, sample_camera(0, 1), 1), place=(0.0, 5.0), yaw=math.radians(yaw))
    labels = describe_view(view)
    assert labels["facing"] == side
    assert labels["facing_deg"] == str(yaw % 360)
    assert labels["distance_m"] == "5.00"
    aside = describe_view(replace(view, place=(5.0 * math.sin(0.1), 5.0 * math.cos(0.1)), yaw=-0.1))
    assert aside["facing_deg"] == "0"


def test_the_table_has_a_line_for_every_image() -> None:
    settings = synthetic_set("llcm", 4, images=1, difficulty=0.8)
    shots = plan(settings).shots
    table = label_table(label_rows(settings, shots))
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    assert [row["path"] for row in rows] == sorted(shot.path for shot in shots)
    by_path = {row["path"]: row for row in rows}
    for shot in shots:
        row = by_path[shot.path]
        expected = describe(sample_identity(settings.seed, shot.identity, settings.difficulty))
        assert {name: row[name] for name in expected} == expected
        assert (row["identity"], row["camera"]) == (str(shot.identity), str(shot.camera))
        assert row["spectrum"] == shot.spectrum.value
    assert len({row["facing_deg"] for row in rows}) > 20
