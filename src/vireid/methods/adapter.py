"""Modality distribution adapters in the shared stages (MCJA; Liang et al., TCSVT 2024)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.backbone import build_backbone
from vireid.models.method import Method


class ModalityAdapter(nn.Module):
    """``x + BN(x s)``, s in (0, 1) a weight for every channel, from what the map looks like under several masks.

    Every mask is a softmax over the positions of a 1x1 convolution; under it a channel has one number. A convolution of
    its own takes a channel's numbers to one, which BatchNorm and a sigmoid make s. BN starts at 0 and the adapter as
    the identity.

    Args:
        channels: of the map. masks: how many.
    """

    def __init__(self, channels: int, masks: int) -> None:
        super().__init__()
        self.masks = nn.Conv2d(channels, masks, 1)
        self.gather = nn.Conv1d(channels, channels, masks, groups=channels, bias=False)
        self.gather_norm = nn.BatchNorm1d(channels)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to the same shape."""
        masks = self.masks(x).flatten(2).softmax(2)
        seen = torch.bmm(x.flatten(2), masks.mT)
        weights = torch.sigmoid(self.gather_norm(self.gather(seen)))
        return x + self.norm(x * weights[..., None])  # type: ignore[no-any-return]


class Adapter(Method):
    """Adapters behind the last residual blocks of layer2 and layer3 (all, where the stage has fewer).

    Args:
        layer2: how many in layer2. layer3: how many in layer3.
        masks: of each adapter; the code has 2 for SYSU-MM01 and 12 for RegDB.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        layer2: Annotated[int, Field(ge=0)] = 2,
        layer3: Annotated[int, Field(ge=0)] = 3,
        masks: Annotated[int, Field(ge=1, le=64)] = 2,
    ) -> None:
        super().__init__(config)
        backbone = build_backbone(config)
        self.blocks = nn.ModuleDict()
        for stage, count in ((2, layer2), (3, layer3)):
            last = backbone.blocks[stage - 1]
            for index in range(max(last - count, 0), last):
                self.blocks[f"layer{stage}-{index}"] = ModalityAdapter(backbone.channels[stage], masks)

    def block(self, features: Tensor, stage: str, index: int) -> Tensor:
        name = f"{stage}-{index}"
        return self.blocks[name](features) if name in self.blocks else features
