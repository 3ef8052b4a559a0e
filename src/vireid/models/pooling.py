"""Generalised-mean pooling (GeM; Radenovic et al., TPAMI 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FLOOR = 1e-12


def generalised_mean(features: Tensor, power: float, dim: int | tuple[int, ...]) -> Tensor:
    """Return ``(mean(max(x, 0) ** power) + 1e-12) ** (1 / power)`` over ``dim``, in float32 or float64.

    The floor under the mean is that of AGW's code and all derived from it; for large powers it is not small.
    Over the spatial dimensions of (b, c, h, w) it is a descriptor (b, c); over the channels it is the response
    map (b, h, w) of eq. 4. ``power`` 1 is average pooling, large powers approach maximum pooling.
    """
    if torch.is_grad_enabled() and features.requires_grad:
        result: Tensor = _Differentiable.apply(features, power, dim)  # type: ignore[no-untyped-call]
        return result
    return _mean(features, power, dim).squeeze(dim)


def _mean(features: Tensor, power: float, dim: int | tuple[int, ...]) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):
        x = _precise(features).clamp_min(0)
        # The mean is homogeneous; scaling by the largest value keeps large powers inside float32's range.
        floor = FLOOR ** (1 / power)
        scale = x.amax(dim, keepdim=True).clamp_min(floor)
        mean = (x / scale).pow(power).mean(dim, keepdim=True) + (floor / scale).pow(power)
        return mean.pow(1 / power) * scale  # type: ignore[no-any-return]


def _precise(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))


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
        x = _precise(features)
        result = (x.clamp_min(0) / mean).pow_(ctx.power - 1).mul_(share)
        # nothing where x is not above 0; masked_fill_ takes twenty times as long on a processor
        return torch.ops.aten.threshold_backward(result, x, 0).to(features.dtype), None, None


class GeneralisedMean(nn.Module):
    """`generalised_mean` over the positions of a map: (b, c, h, w) to (b, c)."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(self, features: Tensor) -> Tensor:
        return generalised_mean(features, self.power, (2, 3))
