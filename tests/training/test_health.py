from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import health as reference
from tests.rendered import small
from tests.tiny import OVERRIDES, tiny_run
from tests.trees import write_folder
from vireid.data.layouts import open_dataset
from vireid.data.masks import body_masks
from vireid.models.weakening import DynamicFeatureWeakening
from vireid.recipes import load_recipe
from vireid.report.details import health_tables
from vireid.synthetic.tree import write_tree
from vireid.training import train
from vireid.training.health import (
    branches_health,
    health_history,
    health_lines,
    health_warnings,
    make_probe,
    measure_health,
    weakening_health,
)
from vireid.training.monitor import read_metrics

CASES: list[tuple[Any, Any]] = [*product(("D1", "D2", "D3"), ("features", "sigmoid", "none"))]


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).relu() * 3


@pytest.mark.parametrize(("matrix", "gate"), CASES)
def test_what_dfw_does_equals_the_naive_loop(matrix: Any, gate: Any) -> None:
    features = maps(1, 3, 6, 5, 4)
    module = DynamicFeatureWeakening(matrix, alpha=0.3, beta=0.6, gate=gate, inference=False).eval()
    expected = reference.weakening_health(features.double().numpy(), matrix, 0.3, 0.6, gate)
    assert weakening_health(module, features) == pytest.approx(expected, rel=1e-4)


def test_plain_weakening_keeps_alpha_of_the_strong() -> None:
    found = weakening_health(DynamicFeatureWeakening(alpha=0.2, gate="none"), maps(2, 4, 8, 6, 3))
    assert found["strong_to_weak"] == pytest.approx(0.2)
    assert found["strong_after"] < found["strong_before"]


def test_a_common_factor_is_no_change() -> None:
    nothing = weakening_health(DynamicFeatureWeakening(alpha=1.0, gate="none"), maps(3, 4, 8, 6, 3))
    assert nothing["change"] == pytest.approx(0, abs=1e-3)
    constant = torch.full((2, 4, 5, 3), 2.0)  # strong everywhere, so halved everywhere
    found = weakening_health(DynamicFeatureWeakening(alpha=0.5, gate="none"), constant)
    assert found["change"] == pytest.approx(0, abs=1e-3)
    assert np.isnan(found["strong_to_weak"])


def test_where_branches_respond_equals_the_naive_loop() -> None:
    branches = [maps(4, 6, 5, 6, 3), maps(5, 6, 5, 6, 3)]
    masks = np.random.default_rng(0).random((6, 24, 12)) < np.linspace(0.2, 0.9, 24)[:, None]
    areas = masks.reshape(6, 6, 4, 3, 4).mean((2, 4))
    expected = reference.branches_health([b.double().numpy() for b in branches], areas)
    assert branches_health(branches, masks) == pytest.approx(expected, rel=1e-4)
    without = branches_health(branches, None)
    assert without == {k: v for k, v in branches_health(branches, masks).items() if "body" not in k}


def test_one_picture_for_every_image_is_told_from_one_for_each() -> None:
    one = maps(6, 1, 4, 6, 3).expand(8, -1, -1, -1)
    found = branches_health([one, maps(7, 8, 4, 6, 3)], None)
    assert found["branch 1/peaks"] == 1
    assert found["branch 1/by_position"] == pytest.approx(1)
    assert found["branch 2/peaks"] > 3
    assert found["branch 2/by_position"] < 0.5


HEALTHY = {
    "layer3/change": 0.3,
    "layer3/strong_to_weak": 0.5,
    "overlap/active": 0.4,
    "branch 1/peaks": 9.0,
    "branch 1/by_position": 0.3,
    "branch 1/body": 0.2,
}


@pytest.mark.parametrize(
    ("sick", "warning"),
    [
        ({"layer3/change": 0.014}, "DFW after layer3 changes features by 1.4 %: it does nothing"),
        ({"layer3/strong_to_weak": 1.2}, "DFW after layer3 keeps 1.20 times as much of strong as of weak positions"),
        ({"overlap/active": 0.0}, "the overlap penalty is above 0 in 0.0 % of batches: it trains nothing"),
        ({"branch 1/peaks": 1.0}, "branch 1 peaks in one cell whatever the image"),
        ({"branch 1/by_position": 0.96}, "position explains 96 % of its response"),
        ({"branch 1/body": -0.4}, "branch 1 responds off the person"),
    ],
)
def test_inert_parts_are_named(sick: dict[str, float], warning: str) -> None:
    assert health_warnings(HEALTHY) == []
    (found,) = health_warnings(HEALTHY | sick)
    assert warning in found


def test_every_epoch_of_a_run_is_measured_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tiny_run(tmp_path, "schedule.epochs=2")
    lines = read_metrics(run)
    first, last = health_history(lines)
    assert {name.split("/")[0] for name in last} == {"layer2", "layer3", "branch 1", "branch 2", "branches", "overlap"}
    of_epochs = [line["overlap"] > 0 for line in lines if "overlap" in line]
    half = len(of_epochs) // 2
    assert first["overlap/active"] == sum(of_epochs[:half]) / half
    assert not any("body" in name for name in last)  # photographs have no silhouettes
    printed = capsys.readouterr().err
    assert printed.count("Method health: layer2: ") == 1
    assert [text for text in health_lines(lines) if text.replace("Warning: ", "") in printed]
    (table,) = health_tables(run)
    assert len(table.rows) == len(last)
    shown = {row[:2]: row[4] for row in table.rows}
    assert shown["layer2", "change"] == f"{last['layer2/change']:.3g}"
    for text in health_warnings(last):
        assert text[1:] in table.note
    (run / "metrics.jsonl").unlink()
    assert health_tables(run) == ()


def test_a_rendered_set_is_measured_against_its_silhouettes(tmp_path: Path) -> None:
    settings = small(identities=6, height=48, width=32)
    plain, masked = tmp_path / "plain", tmp_path / "masked"
    write_tree(plain, settings)
    write_tree(masked, small(identities=6, height=48, width=32, masks=True))
    sets = [open_dataset(root) for root in (plain, masked)]
    rendered, read = (body_masks(each, each.train[:20]) for each in sets)
    assert rendered is not None
    assert read is not None
    np.testing.assert_array_equal(rendered, read)
    recipe = load_recipe("regdb-dfw", (*OVERRIDES, "schedule.epochs=1"))
    run = train(recipe, sets[0], tmp_path / "run", device=torch.device("cpu"), cache=tmp_path / "cache")
    (found,) = health_history(read_metrics(run))
    assert -1 <= found["branch 1/body"] <= 1
    assert 0 <= found["branches/apart_on_body"] <= found["branches/apart"]


def test_the_probe_is_the_seeds_and_half_of_each_modality(tmp_path: Path) -> None:
    dataset = open_dataset(write_folder(tmp_path, [f"p{i}" for i in range(5)], images=9, size=(24, 12)))
    probes = [make_probe(dataset, dataset.train, seed) for seed in (0, 0, 1)]
    assert probes[0].masks is None
    for modality, rows in enumerate(probes[0].rows):
        assert len(set(rows.tolist())) == 32
        assert all(dataset.train[i].modality == modality for i in rows)
        np.testing.assert_array_equal(rows, probes[1].rows[modality])
    assert not np.array_equal(probes[0].rows[0], probes[2].rows[0])


def test_measuring_changes_neither_network_nor_random_numbers(tmp_path: Path) -> None:
    from vireid.data.layouts import open_pixels
    from vireid.models.network import build_network

    dataset = open_dataset(write_folder(tmp_path / "set", ["a", "b", "c"], images=3, size=(48, 32)))
    recipe = load_recipe("regdb-dfw", OVERRIDES)
    network = build_network(recipe.model, 3).train()
    before, state = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    store = open_pixels(dataset, dataset.train, recipe.data, tmp_path / "cache")
    found = measure_health(network, store, make_probe(dataset, dataset.train, 0), "fp32")
    assert json.dumps(found, allow_nan=False)
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in network.modules())
