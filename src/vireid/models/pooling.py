"""Generalised-mean pooling (GeM; Radenovic et al., TPAMI 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FLOOR = 1e-6


def generalised_mean(features: Tensor, power: float, dim: int | tuple[int, ...]) -> Tensor:
    """Return ``mean(max(x, 1e-6) ** power) ** (1 / power)`` over ``dim``, computed in float32.

    Over the spatial dimensions of (b, c, h, w) it is a descriptor (b, c); over the channels it is the response
    map (b, h, w) of eq. 4. ``power`` 1 is average pooling, large powers approach maximum pooling.
    """
    if torch.is_grad_enabled() and features.requires_grad:
        result: Tensor = _Differentiable.apply(features, power, dim)  # type: ignore[no-untyped-call]
        return result
    return _mean(features, power, dim).squeeze(dim)


def _mean(features: Tensor, power: float, dim: int | tuple[int, ...]) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):
        x = features.float().clamp_min(FLOOR)
        # The mean is homogeneous; scaling by the largest value keeps large powers inside float32's range.
        scale = x.amax(dim, keepdim=True)
        return (x / scale).pow(power).mean(dim, keepdim=True).pow(1.0 / power) * scale


class _Differentiable(torch.autograd.Function):
    """With the gradient ``(x / mean) ** (power - 1) / n`` in one formula: step by step it takes four times as long."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, power: float, dim: int | tuple[int, ...]) -> Tensor:
        mean = _mean(features, power, dim)
        ctx.save_for_backward(features, mean)
        ctx.power, ctx.dim = power, dim
        return mean.squeeze(dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        features, mean = ctx.saved_tensors
        share = gradient.reshape(mean.shape) * (mean.numel() / features.numel())
        x = features.float()
        result = (x.clamp_min(FLOOR) / mean).pow_(ctx.power - 1).mul_(share)
        # zero where x is at the floor; masked_fill_ takes twenty times as long on a CPU
        return torch.ops.aten.threshold_backward(result, x, FLOOR).to(features.dtype), None, None


class GeneralisedMean(nn.Module):
    """`generalised_mean` over the positions of a map: (b, c, h, w) to (b, c)."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(self, features: Tensor) -> Tensor:
        return generalised_mean(features, self.power, (2, 3))
