from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.conftest import SmallNetwork
from vireid.config import ModelConfig, WeakeningConfig
from vireid.models.cost import count_macs, count_parameters, measure_cost
from vireid.models.network import TwoStreamNetwork

Convolution = tuple[int, int, int, int]
"""Inputs, outputs, kernel side and output positions."""


def bottlenecks(inputs: int, inner: int, blocks: int, before: int, after: int) -> Iterator[Convolution]:
    """Convolutions of a ResNet-50 stage with ``before`` positions at its entry and ``after`` at its exit."""
    for block in range(blocks):
        yield inputs, inner, 1, before if block == 0 else after
        yield inner, inner, 3, after
        yield inner, 4 * inner, 1, after
        if block == 0:
            yield inputs, 4 * inner, 1, after
        inputs = 4 * inner


def by_formula(branches: int) -> tuple[int, int, int]:
    """Parameters, MACs, and MACs + 2 per BatchNorm element, of a pair of 288 x 144 images at last stride 1.

    A BatchNorm with two parameters per channel follows every convolution; a BNNeck has two per feature.
    """
    stem = [(3, 64, 7, 144 * 72), *bottlenecks(64, 64, 3, 72 * 36, 72 * 36)]
    shared = [*bottlenecks(256, 128, 4, 72 * 36, 36 * 18), *bottlenecks(512, 256, 6, 36 * 18, 18 * 9)]
    branch = [*bottlenecks(1024, 512, 3, 18 * 9, 18 * 9)]

    def parameters(part: list[Convolution]) -> int:
        return sum(i * o * k * k + 2 * o for i, o, k, _ in part)

    def macs(part: list[Convolution]) -> int:
        return sum(i * o * k * k * positions for i, o, k, positions in part)

    def norms(part: list[Convolution]) -> int:
        return sum(2 * o * positions for _, o, _, positions in part)

    per_image = stem + shared + branch * branches
    total = 2 * parameters(stem) + parameters(shared) + branches * (parameters(branch) + 2 * 2048)
    return total, 2 * macs(per_image), 2 * (macs(per_image) + norms(per_image))


def test_the_baseline_costs_what_table_2_says() -> None:
    config = ModelConfig(weights="none", branches=1, weakening=WeakeningConfig(after=()))
    network = TwoStreamNetwork(config, 206)
    parameters, (macs, with_norm) = count_parameters(network), count_macs(network, 288, 144)
    assert (parameters, macs, with_norm) == by_formula(branches=1)
    assert round(parameters / 1e6, 3) == 23.737
    assert round(with_norm / 1e9, 4) == 10.3018


def test_the_full_model_costs_what_its_macs_say(full_network: TwoStreamNetwork) -> None:
    parameters, (macs, with_norm) = count_parameters(full_network), count_macs(full_network, 288, 144)
    assert (parameters, macs, with_norm) == by_formula(branches=2)
    assert round(parameters / 1e6, 3) == 38.706
    assert round(with_norm / 1e9, 4) == 15.1504


def test_classifiers_and_weakening_do_not_count(small_network: SmallNetwork) -> None:
    few, many = small_network(classes=2), small_network(classes=50)
    plain = small_network(weakening={"after": ()})
    assert count_parameters(few) == count_parameters(many) == count_parameters(plain)
    assert count_macs(few, 64, 32) == count_macs(many, 64, 32) == count_macs(plain, 64, 32)


class Tiny(nn.Module):
    """One convolution, norm and linear layer per side, small enough to count by hand."""

    def __init__(self, groups: int = 1, fail: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, (3, 1), stride=2, padding=1) if groups == 1 else nn.Conv2d(3, 6, 3, groups=3)
        self.norm, self.linear, self.fail = nn.BatchNorm2d(6), nn.Linear(6, 4), fail

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        assert not self.training
        if self.fail:
            raise RuntimeError("stopped")
        x = self.norm(self.conv(torch.cat([visible, infrared])))
        scores: Tensor = self.linear(x.mean((2, 3)))
        return scores


def counted(network: Any, height: int, width: int) -> tuple[int, int]:
    return count_macs(network, height, width)


def test_a_tiny_network_by_hand() -> None:
    # 8 x 6 image, kernel 3 x 1, stride 2, padding 1: 4 x 4 positions of 6 channels, 3 * 3 * 1 products each.
    # BatchNorm adds 2 for each of them and the bias of the convolution 1.
    convolution, linear, norm = 4 * 4 * 6 * 9, 6 * 4, (2 + 1) * 4 * 4 * 6
    macs = 2 * (convolution + linear)
    assert counted(Tiny(), 8, 6) == (macs, macs + 2 * norm)
    # 3 groups, no padding: 6 x 4 positions of 6 channels, one input channel each.
    macs = 2 * (6 * 4 * 6 * 9 + linear)
    assert counted(Tiny(groups=3), 8, 6) == (macs, macs + 2 * 3 * 6 * 4 * 6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fail", [True, False])
def test_counting_leaves_no_trace(training: bool, fail: bool) -> None:
    network = Tiny(fail=fail).train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    if fail:
        with pytest.raises(RuntimeError, match="stopped"):
            counted(network, 8, 6)
    else:
        counted(network, 8, 6)
    assert all(m.training == training for m in network.modules())
    assert not any(m._forward_hooks for m in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_measured_cost(small_network: SmallNetwork) -> None:
    network = small_network()
    cost = measure_cost(network, 64, 32, batch=2, seconds=0.01)
    assert (cost.macs, cost.macs_with_batchnorm) == count_macs(network, 64, 32)
    assert cost.parameters == count_parameters(network)
    assert cost.images_per_second > 0
    assert cost.peak_memory > 10 * 2**20  # bytes: no process with PyTorch in it is smaller
    assert set(cost.to_dict()) == {
        "parameters",
        "macs",
        "macs_with_batchnorm",
        "peak_memory",
        "images_per_second",
    }
