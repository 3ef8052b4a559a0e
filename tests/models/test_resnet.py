from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.reference.resnet import initial_state, torchvision_state, trunk_forward
from vireid.config import ModelConfig, WeakeningConfig
from vireid.models.backbone import build_backbone
from vireid.models.network import TwoStreamNetwork, build_network


@pytest.mark.parametrize(
    ("backbone", "published"), [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032)]
)
def test_the_reference_has_the_published_number_of_parameters(backbone: str, published: int) -> None:
    state = torchvision_state(backbone)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(value.numel() for name, value in state.items() if not name.endswith(buffers)) == published


@pytest.mark.parametrize(
    ("backbone", "last_stride", "size"),
    [
        ("resnet18", 1, (64, 32)),
        ("resnet34", 2, (97, 65)),
        ("resnet50", 1, (49, 33)),
        ("resnet50", 2, (64, 32)),
        ("resnet18_ibn_a", 1, (64, 32)),
        ("resnet34_ibn_a", 2, (97, 65)),
        ("resnet50_ibn_a", 1, (64, 32)),
    ],
)
def test_trunk_equals_a_plain_resnet(backbone: Any, last_stride: Any, size: tuple[int, int], tmp_path: Path) -> None:
    name, _, ibn = backbone.partition("_")
    state = torchvision_state(name, width=8, classes=7, ibn=bool(ibn))
    torch.save(state, tmp_path / "weights.pth")
    config = ModelConfig(
        backbone=backbone,
        base_width=8,
        weights=str(tmp_path / "weights.pth"),
        last_stride=last_stride,
        weakening=WeakeningConfig(after=()),
    )
    network = build_network(config, 3).eval()
    seen = {}
    for name in ("visible", "infrared", "layer2", "layer3"):
        network.get_submodule(name).register_forward_hook(lambda _m, _i, y, key=name: seen.update({key: y}))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        maps = network(images, images).maps
    _, layer1, layer2, layer3, layer4 = trunk_forward(state, images, last_stride)
    torch.testing.assert_close(seen["visible"], layer1, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(seen["infrared"], layer1, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(seen["layer2"], torch.cat([layer2, layer2]), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(seen["layer3"], torch.cat([layer3, layer3]), rtol=1e-4, atol=1e-3)
    for branch in maps:
        torch.testing.assert_close(branch, torch.cat([layer4, layer4]), rtol=1e-4, atol=1e-3)


def test_starts_as_he_normal_convolutions_and_unit_norms() -> None:
    torch.manual_seed(0)
    network = TwoStreamNetwork(ModelConfig(backbone="resnet18", base_width=16, weights="none"), 3)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    for conv in convolutions:
        fan_out = conv.out_channels * conv.kernel_size[0] * conv.kernel_size[1]
        samples = conv.weight.numel()
        assert conv.bias is None
        assert conv.weight.std().item() * (fan_out / 2) ** 0.5 == pytest.approx(1, abs=4 / samples**0.5)
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        assert (norm.weight == 1).all()
        assert (norm.bias == 0).all()
    assert not any(torch.equal(a.weight, b.weight) for a, b in itertools.combinations(convolutions, 2))


@pytest.mark.parametrize(("backbone", "branches"), [("resnet18", 2), ("resnet34", 1), ("resnet50", 3)])
def test_a_seed_starts_as_it_always_has(backbone: str, branches: int) -> None:
    torch.manual_seed(3)
    state = TwoStreamNetwork(ModelConfig(backbone=backbone, base_width=8, branches=branches), 5).state_dict()
    torch.manual_seed(3)
    expected = initial_state(backbone, 8, 5, branches)
    assert set(expected) == {name for name, value in state.items() if value.ndim in (2, 4)}
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=1e-6, atol=1e-9)


def test_channels() -> None:
    def channels(backbone: str, width: int) -> tuple[int, ...]:
        return build_backbone(ModelConfig(backbone=backbone, base_width=width)).channels

    assert channels("resnet50", 64) == (64, 256, 512, 1024, 2048)
    assert channels("resnet18", 64) == (64, 64, 128, 256, 512)
    assert channels("resnet34", 16) == (16, 16, 32, 64, 128)
