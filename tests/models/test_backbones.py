"""What every backbone has to keep to, built-in or not; docs/adding-a-backbone.md has one that is not."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from vireid.build import build_methods, build_objective
from vireid.config import DataConfig, ModelConfig, Recipe
from vireid.methods import METHODS
from vireid.models.backbone import BACKBONES, build_backbone, map_of
from vireid.models.cost import count_macs, count_parameters
from vireid.models.network import TwoStreamNetwork, build_network, embedding
from vireid.recipes import load_recipe
from vireid.types import VireidError

DOCS = Path(__file__).parents[2] / "docs"
TOY = "toy_net:ToyNet"
SIZE = (96, 48)
every_backbone = pytest.mark.parametrize("name", [*BACKBONES, TOY])


@pytest.fixture(scope="module", autouse=True)
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The page's backbone, where it can be imported."""
    folder, page = tmp_path_factory.mktemp("toy"), (DOCS / "adding-a-backbone.md").read_text()
    (folder / "toy_net.py").write_text(re.search(r"`toy_net.py`:\n\n```python\n(.*?)```", page, re.DOTALL)[1])  # type: ignore[index]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield


def small(name: str, **fields: Any) -> ModelConfig:
    if name.startswith("vit"):
        sizes: dict[str, Any] = {"options": {"width": 24, "depth": 5, "heads": 2, "pixels": "imagenet"}}
    else:
        sizes = {"base_width": 8}
    return ModelConfig(**{"backbone": name, "weights": "none", **sizes, **fields})


def network(name: str, seed: int = 0, **fields: Any) -> Any:
    torch.manual_seed(seed)
    config = small(name, **fields)
    return build_network(config, 2, build_methods(config), size=SIZE)


def images(count: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, *SIZE, generator=generator), torch.randn(count, 3, *SIZE, generator=generator)


def trained_once(made: Any) -> Tensor:
    torch.manual_seed(3)
    rows = torch.tensor([0, 0, 1, 1] * 2), torch.tensor([0] * 4 + [1] * 4)
    objective = build_objective(Recipe(data=DataConfig(height=96, width=48)), 2, dict(made.methods.items()))
    total: Tensor = objective(made.train()(*images()), *rows)["total"]
    total.backward()
    return total


def error_of(**fields: Any) -> str:
    with pytest.raises(VireidError) as caught:
        build_backbone(ModelConfig(**fields))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@every_backbone
def test_it_is_documented(name: str) -> None:
    cls = type(build_backbone(small(name)))
    assert inspect.getdoc(cls)
    documents = " ".join(parent.__doc__ or "" for parent in cls.__mro__)
    for option in (p for p in inspect.signature(cls).parameters.values() if p.kind is p.KEYWORD_ONLY):
        assert option.default is not option.empty, f"{option.name}: options have defaults"
        assert re.search(rf"\b{option.name}: ", documents), f"{option.name}: not in the docstring"
    if name in BACKBONES:
        page = (DOCS / "backbones.md").read_text()
        assert f"`{name}`" in page
        for weights, source in cls.weights.items():
            assert re.fullmatch(r"timm/[\w.]+|https://github\.com/\S+-[0-9a-f]{8}\.pth", source)
            assert f"`{weights}`" in page


@every_backbone
@torch.no_grad()
@pytest.mark.parametrize("shared_from", ["layer2", "layer1", "input"])
def test_its_parts_have_the_channels_and_blocks_that_it_says(name: str, shared_from: str) -> None:
    backbone = build_backbone(small(name), SIZE)
    for own_layer1 in (False, True):
        x = backbone.stem(own_layer1).eval()(images()[0])
        assert map_of(x).shape[:2] == (4, backbone.channels[own_layer1])
        for number in range(1 + own_layer1, 5):
            stage = backbone.stage(number).eval()
            assert len(stage) == backbone.blocks[number - 1] or number == 4
            x = stage(x)
            assert map_of(x).shape[:2] == (4, backbone.channels[number])
        assert backbone.pool()(x).shape == backbone.pool()(map_of(x)).shape == (4, backbone.channels[4])
    made = network(name, shared_from=shared_from)
    assert len(made.stems()) == (1 if shared_from == "input" else 2)
    assert list(made.stages()) == ["layer1", "layer2", "layer3"][shared_from == "layer2" :]


@every_backbone
@pytest.mark.parametrize("shared_from", ["layer2", "layer1", "input"])
def test_training_reaches_all_its_parameters(name: str, shared_from: str) -> None:
    made = network(name, shared_from=shared_from)
    assert bool(torch.isfinite(trained_once(made)))
    for parameter, value in made.named_parameters():
        if value.requires_grad:
            assert value.grad is not None, parameter
            assert bool(torch.isfinite(value.grad).all()), parameter


@every_backbone
def test_a_seed_gives_the_same_step(name: str) -> None:
    first, second = network(name), network(name)
    assert torch.equal(trained_once(first), trained_once(second))
    for (parameter, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert (a.grad is None and b.grad is None) or torch.equal(a.grad, b.grad), parameter


@every_backbone
@torch.no_grad()
def test_an_embedding_depends_on_its_image_alone(name: str) -> None:
    made, (visible, infrared) = network(name).eval(), images()
    whole = embedding(made(visible, infrared).normed)
    alone = [embedding(made(visible[:1], None).normed), embedding(made(None, infrared[3:]).normed)]
    torch.testing.assert_close(torch.cat([whole[:1], whole[7:]]), torch.cat(alone), rtol=1e-4, atol=1e-5)


@every_backbone
@pytest.mark.parametrize("shared_from", ["layer2", "layer1", "input"])
def test_published_names_fill_every_part_and_nothing_is_left_over(name: str, shared_from: str, tmp_path: Path) -> None:
    giver, path = network(name, seed=7), tmp_path / "weights.safetensors"
    with torch.no_grad():
        for value in giver.state_dict().values():
            value.copy_(torch.rand(value.shape))
    of = giver.backbone.source_of
    # the parts of one stream and one branch, under the names that the published weights have
    stem, _, layer2, layer3, layer4, _ = giver.trunk()
    parts = [stem, layer2, layer3, layer4]
    state = {of(prefix + n): x.clone() for prefix, part in parts for n, x in part.state_dict().items()}
    safetensors.torch.save_file(state, path)
    taker = network(name, weights=str(path), shared_from=shared_from)
    for prefix, part in taker.trunk():
        for tensor, value in part.state_dict().items():
            torch.testing.assert_close(value, state[of(prefix + tensor)], rtol=1e-6, atol=1e-7)
    first = sorted(n for n in state if not n.endswith("num_batches_tracked"))[0]
    safetensors.torch.save_file({n: x for n, x in state.items() if n != first}, path)
    with pytest.raises(VireidError, match=re.escape(first) + " is missing"):
        network(name, weights=str(path), shared_from=shared_from)
    safetensors.torch.save_file(state | {of("layer3.77.weight"): torch.ones(1)}, path)
    with pytest.raises(VireidError, match="has no place in the network"):
        network(name, weights=str(path), shared_from=shared_from)


@every_backbone
def test_its_cost_is_counted_part_by_part(name: str) -> None:
    one, two = (count_macs(network(name, branches=n), *SIZE)[0] for n in (1, 2))
    assert 0 < one < two < 2 * one


@every_backbone
@pytest.mark.parametrize("method", METHODS)
def test_methods_work_with_it_or_say_why_not(name: str, method: str) -> None:
    if method == "non_local" and build_backbone(small(name)).tokens:
        with pytest.raises(VireidError, match=rf"^model\.methods\.non_local: every block of {name} attends"):
            network(name, methods={method: {}})
        return
    made = network(name, methods={method: {}})
    trained_once(made)
    with torch.no_grad():
        output = made.eval()(*images())
    assert embedding(output.normed).isfinite().all()
    assert {len(x) for x in output.maps} == {8}


@every_backbone
def test_what_it_does_not_heed_is_refused(name: str) -> None:
    reads = build_backbone(small(name)).reads
    for field, value in {"base_width": 16, "last_stride": 2, "padding": "replicate", "gem_power": 2}.items():
        fields = {"backbone": name, field: value}
        if field in reads:
            build_backbone(ModelConfig(**fields))
        else:
            assert error_of(**fields).startswith(f"model.{field}={value}")
            assert "has no such setting; leave it at" in error_of(**fields)
    assert error_of(backbone=name, options={"no_such": 1}).startswith("model.options.no_such: unknown option")


def test_an_unknown_backbone_lists_the_known() -> None:
    message = error_of(backbone="resnet101")
    assert message.startswith("model.backbone: unknown backbone resnet101; expected one of resnet18, ")
    assert message.endswith("or package.module:Class; did you mean resnet50?")
    assert "cannot import no_such_package" in error_of(backbone="no_such_package:Net")
    assert "expected a class derived from vireid.models.backbone.Backbone" in error_of(backbone="torch.nn:Linear")


def test_the_page_states_what_the_full_method_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.autocast", lambda *_, **__: nullcontext())  # which knows no tensors without memory
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+) M \| ([\d.]+) G \|$", (DOCS / "backbones.md").read_text(), re.M)
    assert [name for name, _, _ in rows] == list(BACKBONES)
    for name, parameters, macs in rows:
        recipe = load_recipe("vit-dfw" if name.startswith("vit") else "sysu-dfw", [f"model.backbone={name}"])
        with torch.device("meta"):
            made = TwoStreamNetwork(recipe.model, 2, size=recipe.data.size)
            assert f"{count_macs(made, *recipe.data.size)[0] / 1e9:.3f}" == macs
        assert f"{count_parameters(made) / 1e6:.3f}" == parameters


def test_the_page_describes_the_toy_as_it_is() -> None:
    page, toy = (DOCS / "adding-a-backbone.md").read_text(), build_backbone(small(TOY))
    pairs = re.findall(r"`([\w.]+)` is `(features[\w.]+)`", page)
    assert len(pairs) == 2
    for ours, published in pairs:
        assert toy.source_of(ours) == published


def test_the_two_stream_network_is_built_for_a_size() -> None:
    for height, width in ((96, 48), (64, 32)):
        made: Any = TwoStreamNetwork(small("vit_tiny"), 2, size=(height, width))
        assert made.visible.pos_embed.shape[1] == 1 + (height // 16) * (width // 16)
