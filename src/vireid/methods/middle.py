"""A middle modality between visible and infrared (MMN; Zhang et al., ACM Multimedia 2021)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from vireid.config import ModelConfig
from vireid.losses.functional import modality_centres
from vireid.models.method import Method
from vireid.types import Modality


class Middle(Method):
    """Every image once more as a middle-modality image, drawn by a small non-linear generator.

    The generator has an encoder per modality, 3 to 1 to 1 channels, and one decoder, 1 to 3, all 1x1 convolutions with
    ReLU. Its image goes through the modality's own stem in one batch with the image it was made from. The penalty pulls the two modalities' generated images of an identity
    together (distribution consistency).

    Args:
        weight: of the penalty; the paper's is 0.2 with stripes and 0.5 without.
    """

    def __init__(self, config: ModelConfig, *, weight: Annotated[float, Field(ge=0)] = 0.2) -> None:
        super().__init__(config)
        self.weight = weight
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

    def penalty(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        """Mean distance between an identity's two centres of generated rows, on normalised features."""
        generated = modalities >= 2
        rows = normalize(embeddings.float()), labels, modalities - 2
        centres, _ = modality_centres(*(x[generated] for x in rows))
        apart: Tensor = (centres[0] - centres[1]).norm(dim=1)
        return apart.mean()
