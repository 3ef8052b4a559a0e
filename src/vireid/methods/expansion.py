"""Diverse embedding expansion with multistage feature aggregation (DEEN; Zhang & Wang, CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.backbone import build_backbone
from vireid.models.method import Method
from vireid.types import VireidError

DILATIONS = (1, 2, 3)


class ChannelAggregation(nn.Module):
    """``high + BN(W (A g low))``, A the similarity of theta high's and phi low's channels over their number.

    Args:
        high: channels of a stage's output. low: of its input. stride: of the stage.
    """

    def __init__(self, high: int, low: int, stride: int) -> None:
        super().__init__()
        self.g, self.theta = nn.Conv2d(low, low, 1), nn.Conv2d(high, low, 1)
        self.phi = nn.Conv2d(low, low, 1, stride)
        self.out, self.norm = nn.Conv2d(low, high, 1, stride), nn.BatchNorm2d(high)
        nn.init.zeros_(self.norm.weight)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """Map a stage's output (b, high, h, w) and input (b, low, h', w') to the shape of the output."""
        g, theta, phi = self.g(low), self.theta(high).flatten(2), self.phi(low).flatten(2)
        mixed = torch.bmm(torch.bmm(theta, phi.mT) / theta.shape[1], g.flatten(2)).view_as(g)
        return high + self.norm(self.out(mixed))  # type: ignore[no-any-return]


class PositionAggregation(nn.Module):
    """``high + BN(W y)``, ``y_i = 1/n sum_j (theta high_i . phi low_j) g low_j`` over the n positions of the input.

    The code takes the upper and the lower half of a channel's map for two channels of half a map; so does this.
    """

    def __init__(self, high: int, low: int) -> None:
        super().__init__()
        inner = low // 2
        self.g, self.theta, self.phi = nn.Conv2d(low, inner, 1), nn.Conv2d(high, inner, 1), nn.Conv2d(low, inner, 1)
        self.out, self.norm = nn.Conv2d(inner, high, 1), nn.BatchNorm2d(high)
        nn.init.zeros_(self.norm.weight)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """See `ChannelAggregation.forward`."""
        g, phi, theta = _halves(self.g(low)), _halves(self.phi(low)), _halves(self.theta(high))
        # the sum over j is one (low x low) matrix
        mixed = torch.bmm(torch.bmm(g, phi.mT) / g.shape[2], theta)
        return high + self.norm(self.out(mixed.reshape(len(high), -1, *high.shape[2:])))  # type: ignore[no-any-return]


def _halves(features: Tensor) -> Tensor:
    """(b, c, h, w) to (b, 2 c, h w / 2)."""
    batch, channels, height, width = features.shape
    if height * width % 2:
        raise VireidError(
            f"model.methods.expansion: a map of {height} x {width} has no halves; change data.height or data.width"
        )
    return features.reshape(batch, 2 * channels, height * width // 2)


class Expander(nn.Module):
    """One more form of a map: three dilated convolutions to a quarter of the channels, their mean, ReLU, and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.views = nn.ModuleList(
            nn.Conv2d(channels, inner, 3, padding=dilation, dilation=dilation, bias=False) for dilation in DILATIONS
        )
        self.back = nn.Conv2d(inner, channels, 1)
        for part in (*self.views, self.back):
            nn.init.kaiming_normal_(part.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map (b, c, h, w) to the same shape."""
        seen = torch.stack([view(features) for view in self.views]).sum(0) / len(self.views)
        return self.back(seen.relu())  # type: ignore[no-any-return]


class Expansion(Method):
    """Every shared stage's output takes up its input, and the last one's is shown in two more forms.

    With F the output and E the input of a shared stage: ``P(C(F, E), E)``, C by channels (`ChannelAggregation`), P by
    positions (`PositionAggregation`). Behind layer3 two `Expander` make one more form each; of all three one value in
    a hundred is dropped in training. In evaluation the forms' normalised features are concatenated: the feature after
    the neck holds those before it too, so that its cosine is the mean of the code's six similarities.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        backbone = build_backbone(config)
        first = {"layer2": 2, "layer1": 1, "input": 1}[config.shared_from]
        self.channels, self.positions = nn.ModuleDict(), nn.ModuleDict()
        for stage in range(first, 4):
            high, low = backbone.channels[stage], backbone.channels[stage - 1]
            stride = 1 if stage == 1 or backbone.tokens else 2
            self.channels[f"layer{stage}"] = ChannelAggregation(high, low, stride)
            self.positions[f"layer{stage}"] = PositionAggregation(high, low)
        self.expanders = nn.ModuleList(Expander(backbone.channels[3]) for _ in range(2))
        self.dropout = nn.Dropout(0.01)

    def stage(self, features: Tensor, inputs: Tensor, stage: str) -> Tensor:
        joined: Tensor = self.positions[stage](self.channels[stage](features, inputs), inputs)
        if stage != "layer3":
            return joined
        return self.dropout(torch.cat([joined, *(expander(joined) for expander in self.expanders)]))  # type: ignore[no-any-return]

    def join(self, pooled: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
        before, after = (torch.cat(list(features), 1) for features in (pooled, normed))
        return before, torch.cat([before, after], 1)
