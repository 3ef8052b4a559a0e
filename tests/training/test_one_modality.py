"""Training on images of one modality, and what its run is good for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import OVERRIDES
from tests.trees import write_manifest, write_market
from vireid.build import new_network
from vireid.config import Recipe
from vireid.data.layouts import open_dataset
from vireid.models.network import build_network
from vireid.recipes import load_recipe
from vireid.runs.evaluation import evaluate
from vireid.training.checkpoint import MODEL, load_run
from vireid.training.run import train
from vireid.types import Dataset, VireidError

SIZE = (48, 32)


def recipe(*overrides: str, base: str = "baseline") -> Recipe:
    return load_recipe(base, (*OVERRIDES, "schedule.epochs=1", "schedule.milestones=[]", *overrides))


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("market")
    return open_dataset(write_market(root, train=(2, 7, 11, 13, 15, 16), images=3, size=SIZE))


@pytest.fixture(scope="module")
def run(market: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return train(recipe(), market, folder / "run", device=torch.device("cpu"), cache=folder / "cache")


def test_the_visible_stream_is_trained_and_the_other_left_alone(run: Path) -> None:
    loaded = load_run(run)
    torch.manual_seed(0)
    start = new_network(loaded.recipe.model, loaded.info["classes"]).state_dict()
    changed = {name for name, x in loaded.network.state_dict().items() if not torch.equal(x, start[name])}
    parts = {name.split(".")[0] for name in changed}
    assert parts == {"visible", "layer2", "layer3", "branches"}


def test_it_is_evaluated_by_the_sets_protocol(run: Path, market: Dataset, tmp_path: Path) -> None:
    evaluation = evaluate([run], market.root, cache=tmp_path)
    assert {result.setting.name for result in evaluation.results} == {"market visible-to-visible"}
    assert evaluation.results[0].trials[0].valid.all()


def test_another_network_starts_from_it(run: Path) -> None:
    trained = load_run(run).network
    network = build_network(recipe(f"model.weights={run / MODEL}", base="sysu-dfw").model, 9)
    for stem in network.stems():
        for name, x in trained.visible.state_dict().items():
            assert torch.equal(stem.state_dict()[name], x)
    for branch in network.branches:
        for name, x in trained.branches[0].layer4.state_dict().items():  # type: ignore[union-attr]
            assert torch.equal(branch.layer4.state_dict()[name], x)  # type: ignore[union-attr]
    assert torch.equal(network.layer3[0].conv1.weight, trained.layer3[0].conv1.weight)
    one_stream = build_network(recipe(f"model.weights={run / MODEL}", "model.shared_from=input").model, 9)
    assert torch.equal(one_stream.visible.conv1.weight, trained.visible.conv1.weight)
    with pytest.raises(VireidError, match=r"these are not weights of resnet34"):
        build_network(recipe(f"model.weights={run / MODEL}", "model.backbone=resnet34").model, 9)


@pytest.mark.parametrize(
    ("base", "overrides", "message"),
    [
        (
            "sysu-dfw",
            [],
            "its training images are all visible, and loss.hetero_center compares .*baseline",
        ),
        ("bridge", ["loss.hetero_center.weight=0"], "images of one modality only"),
        ("mmn", [], "as many visible as infrared images"),
    ],
)
def test_losses_that_compare_modalities_are_refused(
    market: Dataset, tmp_path: Path, base: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(VireidError, match=message) as caught:
        train(recipe(*overrides, base=base), market, tmp_path / "run", device=torch.device("cpu"), cache=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("modality", ["visible", "infrared"])
@pytest.mark.parametrize("base", ["baseline", "sysu-dfw", "caj"])
def test_the_other_losses_validate_and_train_on_either(tmp_path: Path, modality: str, base: str) -> None:
    people = [f"p{number}" for number in range(6)]
    dataset = open_dataset(write_manifest(tmp_path, train=people, modalities=(modality,), size=SIZE))
    chosen = recipe("loss.hetero_center.weight=0", "training.validation=0.34", base=base)
    made = train(chosen, dataset, tmp_path / "run", device=torch.device("cpu"), cache=tmp_path / "cache")
    assert load_run(made).info["checkpoint_rule"] == "best mAP on 2 held-out training identities"


def test_a_list_without_training_lines_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(write_manifest(tmp_path, train=()))
    with pytest.raises(VireidError, match=r"list\.csv: the training part has no image"):
        train(recipe(), dataset, tmp_path / "run", device=torch.device("cpu"))
    assert np.unique([sample.identity for sample in dataset.test]).tolist() == [0, 1]
