"""A method from outside."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from vireid.config import ModelConfig
from vireid.models import Method


class GainNoise(Method):
    """In training, multiply every image's first layer2 map by a random gain around 1."""

    def __init__(self, config: ModelConfig, *, scale: Annotated[float, Field(ge=0, le=1)] = 0.1) -> None:
        super().__init__(config)
        self.scale = scale

    def block(self, features: Tensor, stage: str, index: int) -> Tensor:
        if not (self.training and (stage, index) == ("layer2", 0)):
            return features
        return features * (1 + self.scale * torch.randn(len(features), 1, 1, 1, device=features.device))
