"""Objectives and networks as recipes name their parts, with losses and methods of this very file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor, nn

from tests.methods.test_conformance import LABELS, MODALITIES, images
from tests.tiny import tiny_run
from tests.training.test_run import losses, stop_after
from vireid.build import build_methods, build_objective, new_network
from vireid.config import DataConfig, LossConfig, ModelConfig, Recipe
from vireid.methods import Bridge
from vireid.models import Method, Output, TwoStreamNetwork
from vireid.training import load_run
from vireid.training.checkpoint import LOSSES, checkpoints
from vireid.types import VireidError

NONE = LossConfig(
    identity=0, triplet={"weight": 0}, hetero_center={"weight": 0}, overlap={"weight": 0}, others={"x": {}}
)  # type: ignore[arg-type]


class Length(nn.Module):
    """A loss on embeddings that knows what it was given."""

    def __init__(self, image_size: tuple[int, int], classes: int, *, power: Annotated[float, Field(gt=0)] = 2) -> None:
        super().__init__()
        self.given, self.power = (image_size, classes), power

    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        assert embeddings.shape[0] == labels.shape[0] == modalities.shape[0]
        return embeddings.norm(dim=1).pow(self.power).mean()


class Scores(nn.Module):
    """A loss on the output."""

    def forward(self, output: Output, labels: Tensor, modalities: Tensor) -> Tensor:
        return torch.stack([scores.square().mean() for scores in output.logits]).sum()


class Centres(nn.Module):
    """A loss with a parameter that is trained and a buffer that moves."""

    def __init__(self, classes: int, *, dimension: int = 128) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(classes, dimension))
        self.register_buffer("mean", torch.zeros(dimension))

    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        self.mean.lerp_(embeddings.detach().mean(0), 0.5)  # type: ignore[operator]
        return (embeddings - self.centres[labels] - self.mean).square().mean()  # type: ignore[operator]


class Vector(Length):
    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        return embeddings.sum(1)


class Number(Length):
    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        return 3  # type: ignore[return-value]


class Greedy(Length):
    def __init__(self, margin: float) -> None:
        super().__init__((0, 0), 0)


class Other(nn.Module):
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return embeddings.sum()


class Gain(Method):
    """A method with a parameter, which brings a loss of its own."""

    def __init__(self, config: ModelConfig, *, start: float = 1.0) -> None:
        super().__init__(config)
        self.gain = nn.Parameter(torch.tensor(start))

    def block(self, features: Tensor, stage: str, index: int) -> Tensor:
        return features * self.gain

    def losses(self) -> Any:
        return {f"{__name__}:Length": {"weight": 0.5, "power": 3}}


def recipe(**loss: Any) -> Recipe:
    return Recipe(data=DataConfig(height=96, width=32), loss=loss)  # type: ignore[arg-type]


def network(methods: dict[str, Any], **fields: Any) -> Any:
    torch.manual_seed(0)
    config = ModelConfig(backbone="resnet18", base_width=8, weights="none", methods=methods, **fields)
    return new_network(config, 2).train()


def test_the_losses_sum_with_their_weights_in_order() -> None:
    length, scores = f"{__name__}:Length", f"{__name__}:Scores"
    objective = build_objective(recipe(**{length: {"weight": 0.25, "power": 1}, scores: 2, "identity": 3}), 2)
    assert objective.weights == {
        "identity": 3, "triplet": 1, "hetero_center": 1, "overlap": 0.5, length: 0.25, scores: 2
    }  # fmt: skip
    assert objective.losses[4].given == ((96, 32), 2)
    output = network({})(*images())
    parts = objective(output, LABELS, MODALITIES)
    assert list(parts) == [*objective.weights, "total"]
    whole = torch.cat(output.pooled, 1)
    torch.testing.assert_close(parts[length], whole.norm(dim=1).mean())
    torch.testing.assert_close(parts[scores], output.logits[0].square().mean() + output.logits[1].square().mean())
    total = sum(weight * parts[name] for name, weight in objective.weights.items())
    torch.testing.assert_close(parts["total"], total)


def test_a_methods_losses_are_the_recipes_too() -> None:
    name = f"{__name__}:Length"
    methods = build_methods(ModelConfig(methods={f"{__name__}:Gain": {}, "bridge": {"weight": 0.125}}))
    objective = build_objective(recipe(), 2, methods)
    assert {k: objective.weights[k] for k in list(objective.weights)[4:]} == {"bridge": 0.125, name: 0.5}
    changed = build_objective(recipe(**{name: {"weight": 4}, "bridge": 0}), 2, methods)
    assert changed.weights[name] == 4
    assert changed.losses[4].power == 3
    assert "bridge" not in changed.weights


def test_a_method_from_outside_is_trained_saved_and_read_back(tmp_path: Path) -> None:
    first, second = network({f"{__name__}:Gain": {}}), network({f"{__name__}:Gain": {"start": 3}})
    (name,) = [name for name, _ in first.named_parameters() if name.endswith(".gain")]
    first(*images()).pooled[0].sum().backward()
    assert first.get_parameter(name).grad is not None
    safetensors.torch.save_file(first.state_dict(), tmp_path / "weights.safetensors")
    second.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    assert second.get_parameter(name) == 1


def test_a_network_is_not_built_without_its_methods() -> None:
    config = ModelConfig(backbone="resnet18", base_width=8, weights="none", methods={"bridge": {}})
    with pytest.raises(VireidError, match=r"^model\.methods: expected bridge, got none; pass build_methods\(config\)$"):
        TwoStreamNetwork(config, 2)
    assert isinstance(TwoStreamNetwork(config, 2, build_methods(config)).methods["bridge"], Bridge)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"nothing": {}}, r"loss\.nothing: unknown loss nothing; expected one of bridge, .*"),
        ({"bridge": {"weight": -1}}, r"loss\.bridge\.weight=-1: input should be greater than or equal to 0"),
        ({"bridge": {"weight": True}}, r"loss\.bridge\.weight=true: input should be a valid number"),
        ({"bridge": {"margin": 1}}, r"loss\.bridge\.margin: unknown option; expected one of none"),
        ({f"{__name__}:Length": {"power": 0}}, r"loss\..*:Length\.power=0: input should be greater than 0"),
        (
            {f"{__name__}:Greedy": {}},
            r"loss\..*: Greedy has the positional argument margin; expected options after \*,",
        ),
        (
            {f"{__name__}:Other": {}},
            r".*Other is a class derived from Module; expected a torch\.nn\.Module whose forward",
        ),
        (
            {"vireid.losses:IdentityLoss": {}},
            r".*IdentityLoss is a class derived from Module; expected .*\(output, labels",
        ),
        ({"torch.nn:CrossEntropyLoss": {}}, r".* is a class derived from _WeightedLoss; expected a torch\.nn\.Module"),
        ({"torch:cat": {}}, r".*cat is a builtin_function_or_method; expected a torch\.nn\.Module whose forward takes"),
    ],
)
def test_a_bad_loss_is_one_line(loss: dict[str, Any], message: str) -> None:
    with pytest.raises(VireidError, match=f"^{message}") as caught:
        build_objective(recipe(**loss), 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "found"), [("Vector", r"shape \(8,\)"), ("Number", "int")], ids=["a vector", "no tensor"]
)
def test_a_loss_returns_a_scalar(loss: str, found: str) -> None:
    objective = build_objective(recipe(**{f"{__name__}:{loss}": {}}), 2)
    with pytest.raises(VireidError, match=rf"^loss\..*{loss}: expected a scalar tensor, got {found}; return a mean"):
        objective(network({})(*images()), LABELS, MODALITIES)


def test_a_loss_of_weight_zero_is_not_imported_and_none_left_is_an_error() -> None:
    assert "no_such:Loss" not in build_objective(recipe(**{"no_such:Loss": 0}), 2).weights
    others = {"no_such:Loss": {"weight": 0}}
    off = dict.fromkeys(("identity", "triplet", "hetero_center", "overlap"), 0)
    with pytest.raises(VireidError, match="all weights are 0; expected one above 0"):
        build_objective(recipe(**off, **others), 2)


def test_a_loss_with_parameters_is_trained_and_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = f"loss.{__name__}:Centres={{weight: 3}}"
    whole = tiny_run(tmp_path, option, out="whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(tmp_path, option, out="parts")
    parts = tiny_run(tmp_path, option, out="parts", resume=True)
    assert losses(parts) == losses(whole)
    ends = [checkpoints(run)[-1] for run in (whole, parts)]
    for name in ("model.safetensors", "optimizer.safetensors", LOSSES):
        assert (ends[0] / name).read_bytes() == (ends[1] / name).read_bytes()
    saved = safetensors.torch.load_file(ends[0] / LOSSES)
    assert {name.rpartition(".")[2] for name in saved} == {"centres", "mean"}
    assert all(value.abs().sum() > 0 for value in saved.values())
    assert not (checkpoints(tiny_run(tmp_path, out="plain"))[-1] / LOSSES).exists()
    with pytest.raises(VireidError, match="is code that no installed package offers"):
        load_run(whole)
    monkeypatch.setenv("VIREID_TRUST", "tests")
    assert f"{__name__}:Centres" in load_run(whole).recipe.loss.others


@pytest.mark.parametrize(
    ("group", "name"), [("loss", "hostile:Loss"), ("methods", "hostile:Method"), ("methods", "os:system")]
)
def test_a_downloaded_run_imports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str
) -> None:
    (tmp_path / "hostile.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    run = tiny_run(tmp_path)
    info = json.loads((run / "run.json").read_text())
    fields = info["recipe"]
    (fields["loss"] if group == "loss" else fields["model"]["methods"])[name] = {}
    (run / "run.json").write_text(json.dumps(info))
    field = "loss" if group == "loss" else "model.methods"
    with pytest.raises(VireidError, match=rf"run\.json: recipe: {field}: {name} is code that no installed package"):
        load_run(run)
    assert not (tmp_path / "executed").exists()


def test_a_run_of_the_first_version_is_read_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("model.methods={bridge: {weight: 0.5}}", "loss.identity=0.75")
    whole = tiny_run(tmp_path, *options, out="whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(tmp_path, *options, out="parts")
    recorded = json.loads((tmp_path / "parts" / "run.json").read_text())["recipe"]
    assert set(recorded["loss"]) == {"identity", "triplet", "hetero_center", "overlap"}
    assert (recorded["loss"]["identity"], recorded["model"]["methods"]) == (0.75, {"bridge": {"weight": 0.5}})
    assert losses(tiny_run(tmp_path, *options, out="parts", resume=True)) == losses(whole)
    assert [*losses(whole)[0]] == [
        "step", "epoch", "lr", "identity", "triplet", "hetero_center", "overlap", "bridge", "total"
    ]  # fmt: skip
    assert load_run(whole).recipe.loss.identity == 0.75
