"""Generalised-mean pooling (GeM; Radenovic et al., TPAMI 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def generalised_mean(features: Tensor, power: float, dim: int | tuple[int, ...]) -> Tensor:
    """Return ``mean(max(x, 1e-6) ** power) ** (1 / power)`` over ``dim``, computed in float32.

    Over the spatial dimensions of (b, c, h, w) it is a descriptor (b, c); over the channels it is the response
    map (b, h, w) of eq. 4. ``power`` 1 is average pooling, large powers approach maximum pooling.
    """
    with torch.autocast(features.device.type, enabled=False):
        x = features.float().clamp_min(1e-6)
        # The mean is homogeneous; scaling by the largest value keeps large powers inside float32's range.
        scale = x.detach().amax(dim, keepdim=True)
        return (x / scale).pow(power).mean(dim).pow(1.0 / power) * scale.squeeze(dim)


class GeneralisedMean(nn.Module):
    """`generalised_mean` over the positions of a map: (b, c, h, w) to (b, c)."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(self, features: Tensor) -> Tensor:
        return generalised_mean(features, self.power, (2, 3))
