"""A synthetic set without files: the same records and people as its tree, rendered when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import tiny_recipe
from vireid.config import DataConfig, DialConfig, SyntheticConfig
from vireid.data.layouts import open_data, open_dataset, open_pixels, synthetic_record
from vireid.data.live import ROOT, live_dataset, live_settings
from vireid.data.rendered import render
from vireid.runs.evaluation import evaluate
from vireid.synthetic import write_tree
from vireid.synthetic.settings import rendered_layouts
from vireid.training.run import train
from vireid.types import Dataset, VireidError


def config(**fields: Any) -> DataConfig:
    synthetic = SyntheticConfig(**({"identities": 6, "images": 2, "difficulty": 0.4} | fields))
    return DataConfig(kind="synthetic", synthetic=synthetic, height=32, width=32)


def records(dataset: Dataset) -> list[set[tuple[str, int, int, int]]]:
    return [
        {(str(s.path.relative_to(dataset.root)), s.identity, s.camera, s.modality) for s in part}
        for part in (dataset.train, dataset.test)
    ]


@pytest.mark.parametrize("like", rendered_layouts())
def test_records_are_those_that_the_loader_finds_in_the_tree(like: str, tmp_path: Path) -> None:
    settings = live_settings(config(like=like))
    write_tree(tmp_path / "set", settings)
    tree, live = open_dataset(tmp_path / "set", 3), live_dataset(settings, 3)
    assert records(tree) == records(live)
    assert (tree.layout, tree.trial) == (live.layout, live.trial)
    assert set(tree.gallery_permutations) == set(live.gallery_permutations)
    for key, draws in tree.gallery_permutations.items():
        assert np.array_equal(draws, live.gallery_permutations[key])
    rows = range(0, len(live.test), 3)
    by_path = {s.path.relative_to(tree.root): row for row, s in enumerate(tree.test)}
    ours = open_pixels(live, live.test, config()).batch(torch.tensor(rows)).int()
    order = torch.tensor([by_path[live.test[row].path.relative_to(ROOT)] for row in rows])
    theirs = open_pixels(tree, tree.test, config(), tmp_path / "cache").batch(order).int()
    apart = (ours - theirs).abs().float().mean(dim=(1, 2, 3)).max()
    assert apart < 9 if like != "regdb" else apart == 0  # JPEG loses something, a bitmap nothing
    assert (ours - theirs.roll(1, 0)).abs().float().mean() > 18  # of pictures that are not the same


def test_pictures_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    dataset = live_dataset(live_settings(config()))
    whole = open_pixels(dataset, dataset.train, config()).batch(torch.arange(len(dataset.train)))
    store = open_pixels(dataset, dataset.train, config())
    rows = torch.tensor([7, 2, 7, 11])
    assert torch.equal(store.batch(rows), whole[rows])
    assert torch.equal(store.batch(rows.flip(0)), whole[rows.flip(0)])


def test_the_dial_replaces_the_difficulty_part_by_part() -> None:
    settings = live_settings(config(dial=DialConfig(occlusion=0.9)))
    assert settings.difficulty.occlusion == 0.9
    assert settings.difficulty.noise == 0.4


def test_a_recipe_trains_and_is_evaluated_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    recipe = tiny_recipe("data.kind=synthetic", "data.synthetic={identities: 10, images: 1, difficulty: 0}")
    run = train(recipe, open_data(recipe.data, None), tmp_path / "run")
    evaluation = evaluate([run], None)
    assert evaluation.synthetic is not None
    assert evaluation.synthetic["identities"] == 10
    assert len(evaluation.results[0].trials) == 10
    assert not (tmp_path / "cache").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_data_and_recipe_must_agree(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="expected --data PATH"):
        open_data(DataConfig(), None)
    write_tree(tmp_path / "set", live_settings(config()))
    recipe = tiny_recipe("data.kind=synthetic")
    with pytest.raises(VireidError, match="leave --data out"):
        train(recipe, open_data(recipe.data, tmp_path / "set"), tmp_path / "run")


def test_a_set_is_rendered_by_one_call_in_memory_or_on_disk(tmp_path: Path) -> None:
    live = render("llcm", 6, images=1, height=32, width=32, seed=3, difficulty=0.4)
    written = render("llcm", 6, images=1, height=32, width=32, seed=3, difficulty=0.4, out=tmp_path / "set")
    assert records(live) == records(written)
    assert live.rendered == synthetic_record(tmp_path / "set")


def test_pictures_of_another_size_than_the_input_are_refused() -> None:
    dataset = render("sysu", 4, images=1, height=48, width=24)
    with pytest.raises(VireidError, match=r"^data: rendered at 48 x 24 pixels, expected the network's input of 32 x"):
        open_pixels(dataset, dataset.train, config())
