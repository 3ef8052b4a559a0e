from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vireid.build import build_objective, new_network
from vireid.config import (
    LossConfig,
    ModelConfig,
    Recipe,
    ScheduleConfig,
    TrainingConfig,
)
from vireid.losses import LOSSES
from vireid.recipes import load_recipe, parse_recipe, recipe_fields, shipped_recipes
from vireid.types import VireidError


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writer of recipe files: text to path."""

    def writer(text: str, name: str = "mine.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return writer


def error_of(recipe: str, *overrides: str) -> str:
    with pytest.raises(VireidError) as caught:
        load_recipe(recipe, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_build_and_round_trip(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    with torch.device("meta"):  # architecture without the memory and time of its weights
        network: Any = new_network(recipe.model, 11)
    assert len(network.branches) == recipe.model.branches
    assert sorted(network.weakening) == sorted(recipe.model.weakening.after)
    classifiers = [part for part in network.branches[0].classifier.modules() if isinstance(part, torch.nn.Linear)]
    assert {classifier.out_features for classifier in classifiers} == {11}
    assert sorted(network.methods) == sorted(recipe.model.methods)
    assert set(build_objective(recipe, 11).weights) <= set(LOSSES)
    assert parse_recipe(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert parse_recipe(yaml.safe_load(yaml.safe_dump(recipe.to_dict()))) == recipe


def test_the_papers_settings() -> None:
    sysu, regdb, baseline = (load_recipe(name) for name in ("sysu-dfw", "regdb-dfw", "baseline"))
    assert (sysu.data.identities, sysu.data.images) == (6, 6)
    assert (regdb.data.identities, regdb.data.images) == (8, 4)
    for recipe, alpha, weight in ((sysu, 0.5, 0.5), (regdb, 0.2, 1.0)):
        weakening, overlap = recipe.model.weakening, recipe.loss.overlap
        assert (weakening.matrix, weakening.alpha, weakening.gate, weakening.inference) == (
            "D1",
            alpha,
            "sigmoid",
            True,
        )
        assert weakening.after == ("layer2", "layer3")
        assert (overlap.weight, overlap.separation, overlap.centre) == (weight, 100, "soft")
        assert (recipe.loss.hetero_center.margin, recipe.loss.hetero_center.reduction) == (0.3, "sum")
        assert (recipe.model.branches, recipe.model.last_stride, recipe.model.weights) == (2, 1, "imagenet")
        assert (recipe.model.backbone, recipe.model.base_width) == ("resnet50", 64)
    assert (baseline.model.branches, baseline.model.weakening.after) == (1, ())
    assert (baseline.loss.hetero_center.weight, baseline.loss.overlap.weight, baseline.data.erase) == (
        0,
        0,
        0,
    )
    for recipe in (sysu, regdb, baseline):
        schedule, data = recipe.schedule, recipe.data
        assert (schedule.lr, schedule.epochs, schedule.warmup, schedule.milestones) == (0.1, 60, 10, (20, 50))
        assert (schedule.momentum, schedule.weight_decay, schedule.backbone_factor) == (0.9, 5e-4, 0.1)
        assert (data.height, data.width, data.pad, data.flip) == (288, 144, 10, 0.5)


def test_an_empty_recipe_is_the_default() -> None:
    assert parse_recipe({}) == Recipe()


def test_a_file_starts_from_its_base(write: Any) -> None:
    parent = write("base: regdb-dfw\nloss: {overlap: {separation: 50}}", "parent.yaml")
    recipe = load_recipe(write(f"base: {parent}\nloss: {{overlap: {{weight: 0.1}}}}\nname: child"))
    assert (recipe.loss.overlap.separation, recipe.loss.overlap.weight, recipe.name) == (50, 0.1, "child")
    assert (recipe.data.identities, recipe.model.weakening.alpha) == (8, 0.2)


def test_overrides_win_in_order() -> None:
    recipe = load_recipe(
        "sysu-dfw",
        [
            "loss.overlap.weight=0.25",
            "loss.overlap.weight=0.75",
            "schedule.lr=1e-2",
            "schedule.milestones=[5, 9]",
            "model.weakening.after=[]",
            "model.weights=~/some=file.pth",
            "training.compile=true",
            "training.precision=fp32",
        ],
    )
    assert recipe.loss.overlap.weight == 0.75
    assert recipe.schedule.lr == 0.01
    assert recipe.schedule.milestones == (5, 9)
    assert recipe.model.weakening.after == ()
    assert recipe.model.weights == "~/some=file.pth"
    assert (recipe.training.compile, recipe.training.precision) == (True, "fp32")
    untouched = load_recipe("sysu-dfw")
    assert untouched.loss.overlap.weight == 0.5
    assert recipe.data == untouched.data


def test_overriding_a_group_keeps_the_rest_of_the_recipe_valid() -> None:
    recipe = load_recipe("regdb-dfw", ["loss.triplet={kind: random, margin: 0.5}"])
    assert (recipe.loss.triplet.kind, recipe.loss.triplet.margin) == ("random", 0.5)


@pytest.mark.parametrize(
    ("override", "field", "nearest"),
    [
        ("loss.overlap.wieght=1", "loss.overlap.wieght", "loss.overlap.weight"),
        ("data.hight=3", "data.hight", "data.height"),
        ("separation=3", "separation", "loss.overlap.separation"),
        ("los.overlap.weight=2", "los", "loss"),
        ("overlap={weight: 1}", "overlap", "loss.overlap"),
        ("nmae=x", "nmae", "name"),
        ("name.x=3", "name.x", "name"),
    ],
)
def test_an_unknown_field_names_the_nearest(override: str, field: str, nearest: str) -> None:
    message = error_of("sysu-dfw", override)
    assert f"unknown field {field}; the nearest field is {nearest}" in message


def test_losses_are_one_mapping(write: Any) -> None:
    mine = write("base: small\nloss: {identity: {weight: 0.5}, triplet: 2, my.losses:Focal: {gamma: 2}, bridge: 0.25}")
    loss = load_recipe(mine).loss
    assert (loss.identity, loss.triplet.weight, loss.triplet.kind) == (0.5, 2, "weighted")
    assert loss.others == {"my.losses:Focal": {"gamma": 2}, "bridge": {"weight": 0.25}}
    overrides = ["loss.my.losses:Focal.gamma=3", "loss.my.losses:Focal=0.5", "loss.identity.weight=3", "loss.overlap=4"]
    recipe = load_recipe(mine, overrides)
    assert recipe.loss.others["my.losses:Focal"] == {"gamma": 3, "weight": 0.5}
    assert (recipe.loss.identity, recipe.loss.overlap.weight, recipe.loss.overlap.separation) == (3, 4, 50)
    written = recipe.to_dict()
    assert written["loss"]["my.losses:Focal"] == {"gamma": 3, "weight": 0.5}
    assert written["loss"]["identity"] == 3
    assert parse_recipe(json.loads(json.dumps(written))) == recipe
    alone = ["loss.identity=0", "loss.triplet=0", "loss.hetero_center=0", "loss.overlap=0"]
    assert load_recipe("small", [*alone, "loss.bridge=1"]).loss.others == {"bridge": {"weight": 1}}
    assert "all losses have weight 0" in error_of("small", *alone)


def test_methods_may_be_references() -> None:
    recipe = load_recipe("small", ["model.methods.my.methods:Mix.share=0.5", "model.methods.bridge.weight=2"])
    assert recipe.model.methods == {"my.methods:Mix": {"share": 0.5}, "bridge": {"weight": 2}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.overlp.weight=1", "unknown field loss.overlp; the nearest field is loss.overlap"),
        ("loss.others={}", "unknown field loss.others; the nearest field is loss"),
        ("loss.NAME=1", "unknown field loss.NAME; the nearest field is loss"),
        ("loss.identity.weight=yes", "loss.identity={'weight': True}: value error, expected a weight, got a yes or no"),
        ("loss.identity=yes", "loss.identity=True: expected float, got a yes or no"),
        ("loss.triplet=yes", "loss.triplet=True: input should be a dictionary"),
        ("loss.bridge=yes", "loss.bridge=True: input should be a valid dictionary"),
        ("loss.my:Loss={when: 2020-01-01}", "loss.my:Loss.when=datetime.date(2020, 1, 1): input was not a valid JSON"),
    ],
)
def test_a_bad_loss_is_named(override: str, message: str) -> None:
    assert message in error_of("sysu-dfw", override)


def test_an_unknown_field_near_nothing_lists_the_groups() -> None:
    assert "the groups are data, data.synthetic, data.synthetic.dial, loss, loss.hetero_center" in error_of(
        "sysu-dfw", "zzzzzzzz=1"
    )


@pytest.mark.parametrize(
    ("override", "field", "expected"),
    [
        ("model.branches=many", "model.branches='many'", "valid integer"),
        ("model.branches=0", "model.branches=0", "greater than or equal to 1"),
        ("model.branches=1.5", "model.branches=1.5", "valid integer"),
        ("model.backbone=", "model.backbone=None", "valid string"),
        ("model.options=3", "model.options=3", "valid dictionary"),
        ("model.weakening.alpha=1.5", "model.weakening.alpha=1.5", "less than or equal to 1"),
        ("model.weakening.after=[layer5]", "model.weakening.after.0='layer5'", "'layer2' or 'layer3'"),
        ("model.weakening.after=layer2", "model.weakening.after='layer2'", "tuple"),
        ("model.last_stride=3", "model.last_stride=3", "1 or 2"),
        ("model.weakening.gate=tanh", "model.weakening.gate='tanh'", "'features', 'sigmoid' or 'none'"),
        ("model.padding=wrap", "model.padding='wrap'", "'zeros' or 'replicate'"),
        ("loss.overlap.centre=middle", "loss.overlap.centre='middle'", "'soft' or 'hard'"),
        ("loss.overlap.relative=much", "loss.overlap.relative='much'", "valid boolean"),
        ("schedule.lr=", "schedule.lr=None", "valid number"),
        ("schedule.lr=0", "schedule.lr=0", "greater than 0"),
        ("schedule.lr=.nan", "schedule.lr=nan", "finite"),
        ("schedule.milestones=3", "schedule.milestones=3", "tuple"),
        ("schedule.epochs=[1]", "schedule.epochs=[1]", "valid integer"),
        ("training.precision=fp8", "training.precision='fp8'", "'fp32', 'bf16' or 'fp16'"),
        ("training.compile=perhaps", "training.compile='perhaps'", "valid boolean"),
        ("data.flip=-0.1", "data.flip=-0.1", "greater than or equal to 0"),
        ("data.identities=1", "data.identities=1", "greater than or equal to 2"),
        ('data.height="a\\nb"', r"data.height='a\nb'", "valid integer"),
        ("loss.triplet.kind=hard", "loss.triplet.kind='hard'", "'random', 'batch-hard', 'weighted' or 'squared'"),
        ("loss=3", "loss=3", "dictionary"),
        ("name=3", "name=3", "valid string"),
    ],
)
def test_an_ill_typed_field_names_field_value_and_what_was_expected(override: str, field: str, expected: str) -> None:
    message = error_of("sysu-dfw", override)
    assert f"recipe sysu-dfw: {field}: " in message
    assert expected in message


@pytest.mark.parametrize("override", ["schedule.lr", "=3", "", "data.height=["])
def test_a_malformed_override_is_quoted(override: str) -> None:
    assert f"override {override!r}" in error_of("sysu-dfw", override)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("name: \x00", "not valid YAML"),
        ("- a\n- b", "expected a mapping of fields, got list"),
        ("just words", "expected a mapping of fields, got str"),
        ("", "expected a mapping of fields, got NoneType"),
        ("name: &a [*a]", "name="),
        ("1: 2", "1=1"),
    ],
)
def test_a_bad_file_is_named(write: Any, text: str, reason: str) -> None:
    path = write(text)
    message = error_of(path)
    assert message.startswith(f"recipe {path}: ")
    assert reason in message


def test_a_field_given_twice_is_refused(write: Any) -> None:
    assert "height is given twice; keep one" in error_of(write("data: {height: 64, height: 96}"))
    assert "data is given twice" in error_of(write("data: {height: 64}\nmodel: {branches: 1}\ndata: {width: 64}"))
    merged = write("data: {<<: {height: 64, width: 64}, height: 96}")
    assert load_recipe(merged).data.height == 96


def test_hostile_yaml_is_refused(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("executed"))
    hostile = f"!!python/object/apply:os.system ['touch {tmp_path}/executed']"
    for message in (error_of(write(f"name: {hostile}")), error_of("sysu-dfw", f"name={hostile}")):
        assert "not valid YAML" in message
        assert "os.system" in message
    assert not (tmp_path / "executed").exists()


def test_a_base_that_leads_back_to_itself(write: Any, tmp_path: Path) -> None:
    alone = write(f"base: {tmp_path / 'alone.yaml'}", "alone.yaml")
    assert "base leads back to itself" in error_of(alone)
    first = write(f"base: {tmp_path / 'second.yaml'}", "first.yaml")
    second = write(f"base: {first}", "second.yaml")
    assert f"{first} -> {second}" in error_of(first)


def test_an_unknown_recipe_names_the_shipped_ones(write: Any, tmp_path: Path) -> None:
    assert "did you mean sysu-dfw?" in error_of("sysu_dfw")
    assert ", ".join(shipped_recipes()) in error_of("no-such-thing-at-all")
    assert "expected a YAML file or one of" in error_of(str(tmp_path))  # a folder
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    assert "expected a YAML file" in error_of(str(tmp_path / "binary.yaml"))
    assert "nowhere: expected a YAML file" in error_of(write("base: nowhere"))


def test_every_field_is_documented_with_its_default() -> None:
    rows = [row for row in recipe_fields() if row[0] != "loss.NAME"]  # of losses without fields of their own
    assert len(rows) == len(list(recipe_fields())) - 1
    recipe = Recipe()
    for name, kind, default, documentation in rows:
        value: Any = recipe
        for part in name.split("."):
            value = getattr(value, part)
        assert value == default, name
        assert kind
        assert len(documentation) > 5, name
    names = [row[0] for row in rows]
    assert len(set(names)) == len(names)
    assert {"name", "data.height", "model.weakening.matrix", "loss.overlap.weight"} < set(names)

    def leaves(fields: dict[str, Any], prefix: str = "") -> set[str]:
        nested = [
            leaves(v, f"{prefix}{k}.") if v and isinstance(v, dict) else {f"{prefix}{k}"} for k, v in fields.items()
        ]
        return set().union(*nested)

    assert leaves(recipe.to_dict()) == set(names)


def test_settings_cannot_be_changed_after_validation() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Recipe().data, "height", 5)  # noqa: B010


@settings(deadline=None, max_examples=50)
@given(
    model=st.builds(
        ModelConfig,
        backbone=st.sampled_from(["resnet18", "resnet34", "resnet50"]),
        base_width=st.integers(8, 256),
        branches=st.integers(1, 8),
        gem_power=st.floats(1, 20),
        weights=st.text("ab/é .-_:", min_size=1, max_size=8),
    ),
    loss=st.builds(LossConfig, identity=st.floats(0, 1e6)),
    schedule=st.builds(
        ScheduleConfig,
        lr=st.floats(1e-9, 1e3),
        milestones=st.lists(st.integers(0, 99), max_size=4).map(tuple),
        shape=st.sampled_from(["step", "cosine"]),
    ),
    training=st.builds(TrainingConfig, seed=st.integers(0, 2**63 - 1), compile=st.booleans()),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,7}", fullmatch=True),
)
def test_any_recipe_survives_json_and_yaml(**fields: Any) -> None:
    recipe = Recipe(**fields)
    assert parse_recipe(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert parse_recipe(yaml.safe_load(yaml.safe_dump(recipe.to_dict(), allow_unicode=True))) == recipe
