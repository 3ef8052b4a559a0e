"""A middle modality between visible and infrared (MMN; Zhang et al., ACM Multimedia 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.method import Method
from vireid.types import Modality


class Middle(Method):
    """A copy of every image as a middle-modality image, made by a small non-linear generator.

    The generator has an encoder per modality, 3 to 1 to 1 channels, and one decoder, 1 to 3, all 1x1 convolutions with
    ReLU. Its image goes through the modality's own stem in one batch with the image it was made from. MMN's losses on
    the two are ``paired_triplet`` and ``consistency``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.ReLU(), nn.BatchNorm2d(1))
            for _ in Modality
        )
        self.decoder = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU())
        for part in self.modules():
            if isinstance(part, nn.Conv2d):  # positive and equal: the first middle image is a grey one
                nn.init.constant_(part.weight, 0.333)
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def images(self, images: Tensor, modality: Modality) -> Tensor:
        return torch.cat([images, self.decoder(self.encoders[modality](images))])
