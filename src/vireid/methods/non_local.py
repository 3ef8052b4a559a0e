"""Non-local blocks in the shared stages (Wang et al., CVPR 2018), as AGW uses them (Ye et al., TPAMI 2022)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.backbone import build_backbone
from vireid.models.method import Method
from vireid.types import VireidError


class NonLocalBlock(nn.Module):
    """``x + BN(W y)``, ``y_i = 1/n sum_j (theta x_i . phi x_j) g x_j`` over the n positions j of the map.

    The similarity is the dot product, divided by n, not a softmax, so the sum over j is one (inner x inner) matrix: the
    cost grows with n, not with its square. BN starts at 0, so the block starts as the identity.

    Args:
        channels: channels of the map. inner: channels of theta, phi and g, 1x1 convolutions.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out, self.norm = nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to the same shape."""
        theta, phi, g = (part(x).flatten(2) for part in (self.theta, self.phi, self.g))
        mixed = torch.bmm(g, phi.mT) / theta.shape[2]
        y = torch.bmm(mixed, theta).unflatten(2, x.shape[2:])
        return x + self.norm(self.out(y))  # type: ignore[no-any-return]


class NonLocal(Method):
    """Non-local blocks after the last residual blocks of layer2 and layer3 (after all, if the stage has fewer).

    Args:
        layer2: number in layer2. layer3: number in layer3.
        inner: inner channels; null: half of the map's, as in Wang et al. AGW's costs in the paper's Table 2 are those
            with 1 inner channel (docs/systems.md).
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        layer2: Annotated[int, Field(ge=0)] = 2,
        layer3: Annotated[int, Field(ge=0)] = 3,
        inner: Annotated[int, Field(ge=1, le=4096)] | None = None,
    ) -> None:
        super().__init__(config)
        backbone = build_backbone(config)
        if backbone.tokens:
            raise VireidError(
                f"model.methods.non_local: every block of {config.backbone} attends to the whole image already; leave "
                "it out, or choose a CNN as model.backbone"
            )
        self.blocks = nn.ModuleDict()
        for stage, count in ((2, layer2), (3, layer3)):
            channels, last = backbone.channels[stage], backbone.blocks[stage - 1]
            for index in range(max(last - count, 0), last):
                self.blocks[f"layer{stage}-{index}"] = NonLocalBlock(channels, inner or channels // 2)

    def block(self, features: Tensor, stage: str, index: int) -> Tensor:
        name = f"{stage}-{index}"
        return self.blocks[name](features) if name in self.blocks else features
