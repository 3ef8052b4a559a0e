"""An intermediate modality before the shared space, the next step that the paper announces in its conclusion."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, JsonValue
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.backbone import build_backbone
from vireid.models.method import Method
from vireid.types import Modality


class Bridge(Method):
    """Copies of the stems' maps, in training only, with the statistics of an intermediate modality.

    The paper plans "a modality representation generator in front of the shared space", "adaptively generating
    intermediate representations with multi-modality characteristics"; the design is this project's. For a stem's map F:

    - whiten: W = (F - mean) / deviation per image and channel, which removes the modality's statistics;
    - dress: I = gamma * W + beta, statistics learned once for both modalities;
    - mix: M = relu(g * F + (1 - g) * I), g in (0, 1) per image and channel from F's own mean and deviation; without the
      ReLU where F does not come out of one (a transformer).
    M goes through the shared stages and all losses with the label of its image, and adds the loss ``bridge``, see
    `vireid.losses.copies.BridgeLoss`. In evaluation there is no M and no cost.

    Args:
        weight: weight of that loss.
    """

    def __init__(self, config: ModelConfig, *, weight: Annotated[float, Field(ge=0)] = 1.0) -> None:
        super().__init__(config)
        self.weight = weight
        backbone = build_backbone(config)
        channels, self.signed = backbone.channels[config.shared_from == "layer2"], backbone.tokens
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.gate = nn.Sequential(
            nn.Linear(2 * channels, channels // 4), nn.ReLU(), nn.Linear(channels // 4, channels), nn.Sigmoid()
        )

    def stem(self, features: Tensor, modality: Modality) -> Tensor:
        return torch.cat([features, self.intermediate(features)]) if self.training else features

    def intermediate(self, features: Tensor) -> Tensor:
        """Map a stem's (b, c, h, w) to the intermediate (b, c, h, w)."""
        variance, mean = torch.var_mean(features.float(), dim=(2, 3), keepdim=True, correction=0)
        deviation = (variance + 1e-5).sqrt()
        gate = self.gate(torch.cat([mean, deviation], 1).flatten(1))[:, :, None, None]
        gamma, beta = self.gamma[:, None, None], self.beta[:, None, None]
        dressed = gamma * (features - mean) / deviation + beta
        mixed: Tensor = gate * features + (1 - gate) * dressed
        return (mixed if self.signed else mixed.relu()).to(features.dtype)

    def losses(self) -> dict[str, dict[str, JsonValue]]:
        return {"bridge": {"weight": self.weight}}
