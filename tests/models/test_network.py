from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.models.conftest import SmallNetwork
from vireid.config import ModelConfig
from vireid.models.network import Output, TwoStreamNetwork, build_network, embedding
from vireid.models.weakening import DynamicFeatureWeakening


def images(seed: int, count: int, height: int = 64, width: int = 32) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def tensors(output: Output) -> list[Tensor]:
    return [x for part in output[:4] for x in part]


@torch.no_grad()
def test_feature_map_shapes_of_the_paper(full_network: TwoStreamNetwork) -> None:
    """288 x 144: layer2 36 x 18 x 512, layer3 18 x 9 x 1024, layer4 18 x 9 x 2048 (METHOD, section 3.1)."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [
        full_network.get_submodule(name).register_forward_hook(
            lambda _m, _i, y, key=name: shapes.update({key: tuple(y.shape)})
        )
        for name in ("visible", "layer2", "layer3", "branches.0.layer4", "branches.1.layer4")
    ]
    output = full_network.eval()(images(0, 1, 288, 144), None)
    for hook in hooks:
        hook.remove()
    assert shapes == {
        "visible": (1, 256, 72, 36),
        "layer2": (1, 512, 36, 18),
        "layer3": (1, 1024, 18, 9),
        "branches.0.layer4": (1, 2048, 18, 9),
        "branches.1.layer4": (1, 2048, 18, 9),
    }
    assert embedding(output.normed).shape == (1, 4096)


@torch.no_grad()
def test_rows_are_visible_then_infrared(small_network: SmallNetwork) -> None:
    network = small_network().eval()
    visible, infrared = images(1, 3), images(2, 2)
    both, first, second = network(visible, infrared), network(visible, None), network(None, infrared)
    for joint, a, b in zip(tensors(both), tensors(first), tensors(second), strict=True):
        assert (len(a), len(b)) == (3, 2)
        torch.testing.assert_close(joint, torch.cat([a, b]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("stream", "changed", "kept"), [("infrared", slice(2, 4), slice(2)), ("visible", slice(2), slice(2, 4))]
)
def test_each_stream_has_its_own_stem(small_network: SmallNetwork, stream: str, changed: slice, kept: slice) -> None:
    network = small_network().eval()
    same = images(3, 2)
    before = embedding(network(same, same).normed)
    for part in ("conv1", "layer1.1.conv2"):
        network.get_submodule(f"{stream}.{part}").weight.mul_(-1.5)
        after = embedding(network(same, same).normed)
        assert torch.equal(after[kept], before[kept])
        assert ((after[changed] - before[changed]).norm(dim=1) > 1e-3).all()
        before = after


@torch.no_grad()
@pytest.mark.parametrize("shared", ["layer2", "layer3", "branches.0.layer4", "branches.1.layer4"])
def test_later_layers_are_shared(small_network: SmallNetwork, shared: str) -> None:
    network = small_network().eval()
    same = images(4, 2)
    before = embedding(network(same, same).normed)
    network.get_submodule(f"{shared}.0.conv1").weight.mul_(-1.5)
    after = embedding(network(same, same).normed)
    assert ((after - before).norm(dim=1) > 1e-3).all()


def test_stems_keep_their_own_statistics(small_network: SmallNetwork) -> None:
    network = small_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(images(5, 4), None)
    changed = {
        name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"visible", "layer2", "layer3", "branches"}


def test_branches_read_the_same_map_with_parameters_of_their_own(small_network: SmallNetwork) -> None:
    for count in (1, 2, 3):
        network = small_network(branches=count).eval()
        output = network(images(6, 2), images(7, 1))
        assert [len(part) for part in output[:4]] == [count, count, count, 0]
        assert embedding(output.normed).shape == (3, count * 64)
        for a in range(count):
            for b in range(a):
                assert not torch.allclose(output.maps[a], output.maps[b])


def test_training_adds_logits_of_the_normed_features(small_network: SmallNetwork) -> None:
    network = small_network(classes=7).train()
    output = network(images(8, 4), images(9, 4))
    for branch, pooled, normed, logits in zip(
        network.branches, output.pooled, output.normed, output.logits, strict=True
    ):
        assert logits.shape == (8, 7)
        torch.testing.assert_close(logits, normed @ branch.classifier.weight.T)
        centred = (pooled - pooled.mean(0)) / (pooled.var(0, unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(normed, centred, rtol=1e-3, atol=1e-4)
    assert network.eval()(images(8, 4), None).logits == ()


@torch.no_grad()
def test_pooled_is_the_generalised_mean_of_the_map(small_network: SmallNetwork) -> None:
    for power in (1.0, 3.0):
        output = small_network(gem_power=power).eval()(images(10, 2), images(11, 2))
        for feature_map, pooled in zip(output.maps, output.pooled, strict=True):
            expected = (feature_map.double().clamp_min(0).pow(power).mean((2, 3)) + 1e-12).pow(1 / power)
            torch.testing.assert_close(pooled, expected.float())


@torch.no_grad()
def test_embedding_is_a_unit_vector_in_branch_order(small_network: SmallNetwork) -> None:
    output = small_network().eval()(images(12, 3), images(13, 2))
    for parts in (output.normed, output.pooled):
        rows = embedding(parts)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(5))
        length = torch.cat(parts, 1).norm(dim=1, keepdim=True)
        torch.testing.assert_close(rows[:, :64] * length, parts[0])
        torch.testing.assert_close(rows[:, 64:] * length, parts[1])
    assert embedding((torch.rand(2, 4).bfloat16(),)).dtype == torch.float32
    assert torch.equal(embedding((torch.zeros(1, 4),)), torch.zeros(1, 4))


@torch.no_grad()
@pytest.mark.parametrize("after", [(), ("layer2",), ("layer3",), ("layer2", "layer3")])
def test_weakening_sits_where_the_recipe_says(small_network: SmallNetwork, after: tuple[str, ...]) -> None:
    network = small_network(weakening={"after": after, "matrix": "D3", "gate": "none"}).eval()
    assert sum(isinstance(m, DynamicFeatureWeakening) for m in network.modules()) == len(after)
    weaken = DynamicFeatureWeakening("D3", gate="none")
    visible, infrared = images(14, 2), images(15, 1)
    x = torch.cat([network.visible(visible), network.infrared(infrared)])
    for name, stage in (("layer2", network.layer2), ("layer3", network.layer3)):
        x = weaken(stage(x)) if name in after else stage(x)
    expected = network.branches[0].layer4(x)
    torch.testing.assert_close(network(visible, infrared).maps[0], expected)


def test_weakening_takes_its_settings_from_the_recipe(small_network: SmallNetwork) -> None:
    settings: dict[str, Any] = {"matrix": "D2", "alpha": 0.1, "beta": 0.9, "gate": "none", "inference": False}
    network = small_network(weakening={"after": ("layer3",), **settings})
    module = network.weakening["layer3"]
    assert {name: getattr(module, name) for name in settings} == settings


@torch.no_grad()
def test_weakening_in_training_only(small_network: SmallNetwork) -> None:
    plain = small_network(weakening={"after": ()}).eval()
    training_only = small_network(weakening={"inference": False}).eval()
    always = small_network(weakening={"inference": True}).eval()
    same = images(16, 2)
    assert torch.equal(training_only(same, None).maps[0], plain(same, None).maps[0])
    assert not torch.allclose(always(same, None).maps[0], plain(same, None).maps[0])


@pytest.mark.parametrize(
    ("height", "width", "grid"), [(97, 65, (7, 5)), (33, 35, (3, 3)), (32, 32, (2, 2)), (288, 144, (18, 9))]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_any_image_size(
    small_network: SmallNetwork, height: int, width: int, grid: tuple[int, int], stride: int
) -> None:
    network = small_network(last_stride=stride).train()
    output = network(images(17, 2, height, width), images(18, 2, height, width))
    assert output.maps[0].shape == (4, 64, *(-(-side // stride) for side in grid))
    assert all(torch.isfinite(x).all() for x in tensors(output))


def test_gradient_reaches_every_trained_parameter(small_network: SmallNetwork) -> None:
    network = small_network().train()
    output = network(images(19, 4), images(20, 4))
    F.cross_entropy(torch.cat(output.logits), torch.arange(16) % 5).backward()
    for name, parameter in network.named_parameters():
        if name.endswith("bnneck.bias"):
            assert not parameter.requires_grad
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_heads_are_the_bnnecks_and_classifiers(small_network: SmallNetwork) -> None:
    network = small_network()
    heads = {id(p) for p in network.heads()}
    names = {name for name, p in network.named_parameters() if id(p) in heads}
    parts = ("bnneck.weight", "bnneck.bias", "classifier.weight")
    assert names == {f"branches.{branch}.{part}" for branch in range(2) for part in parts}
    assert len(network.heads()) == len(names)


def test_classifiers_start_small_and_different(small_network: SmallNetwork) -> None:
    first, second = (b.classifier.weight for b in small_network(classes=200).branches)
    assert first.std().item() == pytest.approx(0.001, rel=0.05)
    assert not torch.equal(first, second)


def test_the_seed_fixes_the_start() -> None:
    config = ModelConfig(backbone="resnet18", base_width=8, weights="none")
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(build_network(config, 3).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["visible.conv1.weight"], states[2]["visible.conv1.weight"])


@torch.no_grad()
def test_mixed_precision_and_channels_last(small_network: SmallNetwork) -> None:
    network = small_network().eval()
    visible, infrared = images(21, 3), images(22, 3)
    expected = embedding(network(visible, infrared).normed)
    network = network.to(memory_format=torch.channels_last)
    sides = [x.contiguous(memory_format=torch.channels_last) for x in (visible, infrared)]
    torch.testing.assert_close(embedding(network(*sides).normed), expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(*sides)
    assert all(x.dtype == torch.float32 for x in output.pooled)
    assert (F.cosine_similarity(embedding(output.normed), expected) > 0.99).all()


def test_an_input_is_not_changed(small_network: SmallNetwork) -> None:
    visible = images(23, 2)
    before = visible.clone()
    small_network().train()(visible, visible)
    assert torch.equal(visible, before)


def test_a_state_dict_carries_everything(small_network: SmallNetwork) -> None:
    first, second = small_network(seed=1).eval(), small_network(seed=2).eval()
    second.load_state_dict(first.state_dict())
    same = images(24, 2)
    for a, b in zip(tensors(first(same, same)), tensors(second(same, same)), strict=True):
        assert torch.equal(a, b)
