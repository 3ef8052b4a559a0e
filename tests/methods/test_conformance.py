"""What every method of `vireid.methods` has to keep to, whatever it does; a new file is found by itself."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from vireid.build import build_objective, new_network
from vireid.config import DataConfig, ModelConfig, Recipe
from vireid.methods import METHODS
from vireid.models.network import embedding
from vireid.plugins import find
from vireid.recipes import load_recipe, shipped_recipes
from vireid.types import VireidError

LABELS = torch.tensor([0, 0, 1, 1] * 2)
MODALITIES = torch.tensor([0] * 4 + [1] * 4)
every_method = pytest.mark.parametrize("name", METHODS)


def network(methods: dict[str, Any], seed: int = 0, **fields: Any) -> Any:
    torch.manual_seed(seed)
    config = ModelConfig(backbone="resnet18", base_width=8, weights="none", methods=methods, **fields)
    return new_network(config, 2)


def images(count: int = 4, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 96, 32, generator=generator), torch.randn(count, 3, 96, 32, generator=generator)


def objective(made: Any, loss: dict[str, Any] | None = None) -> Any:
    """The default objective with the losses that come with the network's methods."""
    recipe = Recipe(data=DataConfig(height=96, width=32), loss=loss or {})  # type: ignore[arg-type]
    return build_objective(recipe, 2, dict(made.methods.items()))


def trained_once(made: Any) -> dict[str, Tensor]:
    torch.manual_seed(3)
    parts: dict[str, Tensor] = objective(made)(made.train()(*images()), LABELS, MODALITIES)
    parts["total"].backward()
    return parts


@every_method
def test_it_is_documented_and_used_by_a_recipe(name: str) -> None:
    cls = find("method", name, METHODS, name, expected="a class", accepts=inspect.isclass)
    assert cls.__name__.lower() == name.replace("_", "")
    module = inspect.getmodule(cls)
    assert module
    assert module.__doc__
    assert cls.__doc__
    options = [p for p in inspect.signature(cls).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        assert option.default is not option.empty, f"{option.name}: options have defaults"
        assert re.search(rf"\b{option.name}: ", cls.__doc__), f"{option.name}: not in the docstring"
    assert any(name in load_recipe(recipe).model.methods for recipe in shipped_recipes())


@every_method
@pytest.mark.parametrize("shared_from", ["layer2", "layer1", "input"])
@pytest.mark.parametrize("branches", [1, 2])
def test_training_reaches_all_its_parameters(name: str, shared_from: str, branches: int) -> None:
    made = network({name: {}}, shared_from=shared_from, branches=branches)
    for part in made.modules():  # a block that starts as the identity starts without gradients inside it
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(part.weight)
    parts = trained_once(made)
    assert all(bool(torch.isfinite(value)) for value in parts.values())
    for parameter, value in made.named_parameters():
        if value.requires_grad:
            assert value.grad is not None, parameter
            assert bool(torch.isfinite(value.grad).all()), parameter


@every_method
@torch.no_grad()
def test_an_embedding_depends_on_its_image_alone(name: str) -> None:
    made, (visible, infrared) = network({name: {}}).eval(), images()
    both = made(visible, infrared)
    assert both.logits == ()
    assert all(len(x) == 8 for part in (both.maps, both.pooled, both.normed) for x in part)
    for kind in ("pooled", "normed"):
        whole = embedding(getattr(both, kind))
        alone = [embedding(getattr(made(visible[:1], None), kind)), embedding(getattr(made(None, infrared[3:]), kind))]
        torch.testing.assert_close(torch.cat([whole[:1], whole[7:]]), torch.cat(alone), rtol=1e-4, atol=1e-5)


@every_method
def test_a_seed_gives_the_same_step(name: str) -> None:
    first, second = network({name: {}}), network({name: {}})
    assert {k: v.item() for k, v in trained_once(first).items()} == {
        k: v.item() for k, v in trained_once(second).items()
    }
    for (parameter, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert (a.grad is None and b.grad is None) or torch.equal(a.grad, b.grad), parameter


@every_method
def test_it_is_saved_and_read_back(name: str, tmp_path: Path) -> None:
    made, other = network({name: {}}).eval(), network({name: {}}, seed=9).eval()
    safetensors.torch.save_file(made.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(embedding(made(*images()).normed), embedding(other(*images()).normed))


@every_method
def test_an_unknown_option_is_named(name: str) -> None:
    with pytest.raises(VireidError, match=rf"^model\.methods\.{name}\.no_such_option: unknown option; expected one of"):
        network({name: {"no_such_option": 1}})
