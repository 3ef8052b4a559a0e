"""Generalised-mean pooling (GeM; Radenovic et al., TPAMI 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


FLOOR = 1e-12


def generalised_mean(features: Tensor, power: float, dim: int | tuple[int, ...]) -> Tensor:
    """Return ``(mean(max(x, 0) ** power) + 1e-12) ** (1 / power)`` over ``dim``, in float32 or float64.

    The floor under the mean is that of AGW's code and all derived from it; for large powers it is not small.
    Over the spatial dimensions of (b, c, h, w) it is a descriptor (b, c); over the channels it is the response
    map (b, h, w) of eq. 4. ``power`` 1 is average pooling, large powers approach maximum pooling.
    """
    with torch.autocast(features.device.type, enabled=False):
        x = features.to(torch.promote_types(features.dtype, torch.float32)).clamp_min(0)
        # The mean is homogeneous; scaling by the largest value keeps large powers inside float32's range.
        floor = FLOOR ** (1 / power)
        scale = x.detach().amax(dim, keepdim=True).clamp_min(floor)
        mean = (x / scale).pow(power).mean(dim, keepdim=True) + (floor / scale).pow(power)
        return (mean.pow(1 / power) * scale).squeeze(dim)


class GeneralisedMean(nn.Module):
    """`generalised_mean` over the positions of a map: (b, c, h, w) to (b, c)."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(self, features: Tensor) -> Tensor:
        return generalised_mean(features, self.power, (2, 3))
