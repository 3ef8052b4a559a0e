"""A backbone from outside."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from vireid.config import ModelConfig
from vireid.models import Backbone, Stage


class Shrinking(Backbone):
    """One convolution a stage, without norms."""

    def __init__(
        self, config: ModelConfig, size: tuple[int, int], *, width: Annotated[int, Field(ge=1, le=64)] = 4
    ) -> None:
        super().__init__(config, size)
        self.channels, self.blocks = (width, width, width, width, 2 * width), (1, 1, 1, 1)

    def stem(self, own_layer1: bool) -> nn.Module:
        patches = nn.Conv2d(3, self.channels[0], 8, 8)
        return nn.Sequential(patches, self.stage(1)) if own_layer1 else patches

    def stage(self, number: int) -> Stage:
        before, after = self.channels[number - 1 : number + 1]
        return Stage(nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.ReLU()))
