"""Learning-rate schedule and optimiser (section 4.3 gives SGD, 0.1 and 60 epochs; the rest is common practice)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from vireid.config import ScheduleConfig
from vireid.models.network import TwoStreamNetwork


def learning_rate(config: ScheduleConfig, step: int, steps_per_epoch: int) -> float:
    """Learning rate of the heads at a 0-based batch of the run.

    Step shape, per epoch e: ``lr * (e + 1) / warmup`` while warming up, then ``lr * 0.1 ** (milestones passed)``.
    Cosine shape, per batch: linear up over ``warmup`` epochs, then half a cosine to zero at the end of the run.
    """
    if config.shape == "step":
        epoch = step // steps_per_epoch
        if epoch < config.warmup:
            return config.lr * min(1.0, (epoch + 1) / config.warmup)
        return float(config.lr * 0.1 ** sum(epoch >= m for m in config.milestones))
    warm = config.warmup * steps_per_epoch
    if step < warm:
        return config.lr * min(1.0, (step + 1) / warm)
    share = (step - warm) / max(config.epochs * steps_per_epoch - warm, 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * share))


def make_optimizer(
    network: TwoStreamNetwork, config: ScheduleConfig, losses: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """SGD or Adam with two parameter groups, trunk and heads; ``group["factor"]`` multiplies the scheduled rate.

    Parameters of ``losses`` are in the heads' group.
    """
    heads = {id(p) for p in network.heads()}
    trainable = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if id(p) not in heads], "factor": config.backbone_factor},
        {"params": [*(p for p in trainable if id(p) in heads), *losses], "factor": 1.0},
    ]
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        groups, config.lr, config.momentum, weight_decay=config.weight_decay, nesterov=config.momentum > 0
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set every group to its multiple of the scheduled rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]
