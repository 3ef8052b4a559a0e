"""One sub-network of the segmented learning network (SLN), section 3.3."""

from __future__ import annotations

from torch import Tensor, nn

from vireid.models.pooling import generalised_mean
from vireid.models.resnet import make_stage, stage_channels


class Branch(nn.Module):
    """A copy of layer4 with spatial GeM pooling, BNNeck (Luo et al., CVPRW 2019) and identity classifier.

    Args:
        classes: training identities.
    """

    def __init__(self, backbone: str, base_width: int, stride: int, gem_power: float, classes: int) -> None:
        super().__init__()
        channels = stage_channels(backbone, base_width, 4)
        self.layer4 = make_stage(backbone, base_width, 4, stride)
        self.gem_power = gem_power
        self.bnneck = nn.BatchNorm1d(channels)
        self.bnneck.bias.requires_grad_(False)  # the neck centres features; a learned shift would undo that
        self.classifier = nn.Linear(channels, classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, shared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map layer3's (b, c, h, w) to layer4's map (b, d, h', w') and the feature (b, d) before and after the neck."""
        feature_map = self.layer4(shared)
        pooled = generalised_mean(feature_map, self.gem_power, (2, 3))
        return feature_map, pooled, self.bnneck(pooled)
