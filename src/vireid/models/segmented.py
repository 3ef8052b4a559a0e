"""One sub-network of the segmented learning network (SLN), section 3.3."""

from __future__ import annotations

from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.backbone import Shared, build_backbone, map_of


class Branch(nn.Module):
    """A copy of layer4 with pooling (spatial GeM for a CNN), BNNeck (Luo et al., CVPRW 2019) and identity classifier.

    A method that cuts the map into several features derives from it; hence the tuples, here with one element.

    Args:
        config: architecture of the network.
        classes: training identities.
    """

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__()
        backbone = build_backbone(config)
        channels = backbone.channels[4]
        self.layer4 = backbone.stage(4)
        for part in self.layer4.modules():
            if isinstance(part, nn.Conv2d) and part.kernel_size != (1, 1):
                part.padding_mode = config.padding
        self.pool = backbone.pool()
        self.bnneck: nn.Module = nn.BatchNorm1d(channels)
        self.bnneck.bias.requires_grad_(False)  # the neck centres features; a learned shift would undo that
        self.classifier: nn.Module = make_classifier(channels, classes)

    def initialise(self) -> None:
        """Start what does not start as the residual stages do; called once the whole network has."""

    def forward(self, shared: Shared) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Map layer3's output to layer4's map (b, d, h', w') and the features (b, d) before and after the neck."""
        features = self.layer4(shared)
        pooled = self.pool(features)
        return map_of(features), (pooled,), (self.bnneck(pooled),)

    def classify(self, normed: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Map the features after the neck to class scores (b, classes) each."""
        return (self.classifier(normed[0]),)

    def heads(self) -> list[nn.Parameter]:
        """Parameters that published weights do not initialise."""
        return [*self.bnneck.parameters(), *self.classifier.parameters()]


def make_classifier(channels: int, classes: int, bias: bool = False) -> nn.Linear:
    """Identity classifier of one feature, behind a BNNeck without a bias."""
    classifier = nn.Linear(channels, classes, bias=bias)
    nn.init.normal_(classifier.weight, std=0.001)
    if bias:
        nn.init.zeros_(classifier.bias)
    return classifier
