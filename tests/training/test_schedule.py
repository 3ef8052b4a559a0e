import math

import pytest
import torch

from tests.tiny import tiny_recipe
from vireid.config import ScheduleConfig
from vireid.models.network import build_network
from vireid.training.schedule import learning_rate, make_optimizer, set_learning_rate


def test_step_schedule_is_the_one_of_the_field() -> None:
    config = ScheduleConfig()
    per_epoch = 7
    for epoch in range(60):
        if epoch < 10:
            expected = 0.1 * (epoch + 1) / 10
        else:
            expected = {epoch < 20: 0.1, 20 <= epoch < 50: 0.01, epoch >= 50: 0.001}[True]
        for batch in (0, per_epoch - 1):
            assert learning_rate(config, epoch * per_epoch + batch, per_epoch) == pytest.approx(expected)


def test_cosine_schedule_rises_over_batches_and_ends_near_zero() -> None:
    config = ScheduleConfig(shape="cosine", epochs=10, warmup=2, lr=0.4)
    rates = [learning_rate(config, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.04 * (i + 1) for i in range(10)])
    assert rates[10:] == pytest.approx([0.2 * (1 + math.cos(math.pi * i / 40)) for i in range(40)])
    assert rates[-1] < 0.001


def test_no_warmup_starts_at_the_full_rate() -> None:
    assert learning_rate(ScheduleConfig(warmup=0), 0, 5) == 0.1
    assert learning_rate(ScheduleConfig(warmup=0, shape="cosine"), 0, 5) == 0.1


def test_adam_takes_one_rate_for_all_and_decays_as_a_penalty() -> None:
    network = build_network(tiny_recipe().model, 4)
    config = ScheduleConfig(optimizer="adam", lr=1e-3, backbone_factor=1, weight_decay=0.5)
    optimizer = make_optimizer(network, config)
    set_learning_rate(optimizer, 1e-3)
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    optimizer.step()
    for name, parameter in network.named_parameters():
        moved = parameter - start[name]
        if parameter.requires_grad:  # the first step of Adam is the rate, whatever the size of gradient plus penalty
            expected = -1e-3 * torch.sign(2.0 + 0.5 * start[name])
            torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-6)


def test_trunk_learns_at_a_tenth_of_the_heads() -> None:
    network = build_network(tiny_recipe().model, 4)
    optimizer = make_optimizer(network, ScheduleConfig())
    set_learning_rate(optimizer, 0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            assert name.endswith("bnneck.bias")
            continue
        head = ".bnneck." in name or ".classifier." in name
        assert rates.pop(id(parameter)) == pytest.approx(0.1 if head else 0.01), name
    assert not rates
