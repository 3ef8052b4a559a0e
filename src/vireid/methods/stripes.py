"""Horizontal stripes with a classifier each (PCB; Sun et al., ECCV 2018), as HCT and MMN use them."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.backbone import Shared, build_backbone, map_of
from vireid.models.method import Method
from vireid.models.segmented import Branch, make_classifier


class StripedBranch(Branch):
    """layer4 whose map is cut into ``count`` stripes, each pooled, reduced and classified on its own.

    Args:
        count: stripes, from the top; they overlap by a row if it does not divide the map's height.
        dimension: length of a stripe's feature after a 1x1 convolution, BatchNorm and ReLU (HCT); 0: no reduction.
        neck: a BNNeck before the classifiers; without it these have a bias (HCT).
    """

    def __init__(self, config: ModelConfig, classes: int, count: int, dimension: int, neck: bool) -> None:
        super().__init__(config, classes)
        channels = build_backbone(config).channels[4]
        self.count, width = count, dimension or channels
        self.reduce = nn.ModuleList(_reduction(channels, dimension) for _ in range(count if dimension else 0))
        self.bnneck: nn.Module = nn.Identity()
        if neck:  # BatchNorm works channel by channel: one over all stripes is one for each
            self.bnneck = nn.BatchNorm1d(count * width)
            self.bnneck.bias.requires_grad_(False)
        self.classifier = nn.ModuleList(make_classifier(width, classes, bias=not neck) for _ in range(count))

    def initialise(self) -> None:
        for part in self.reduce.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, shared: Shared) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        feature_map = map_of(self.layer4(shared))
        height, count = feature_map.shape[2], self.count
        rows = [slice(i * height // count, -(-(i + 1) * height // count)) for i in range(count)]
        pooled = [self.pool(feature_map[:, :, part]) for part in rows]
        if self.reduce:
            pooled = [reduce(x[:, :, None, None]).flatten(1) for reduce, x in zip(self.reduce, pooled, strict=True)]
        normed = self.bnneck(torch.cat(pooled, 1)).chunk(self.count, 1)
        return feature_map, tuple(pooled), tuple(normed)

    def classify(self, normed: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        classifiers = self.classifier.children()
        return tuple(classifier(x) for classifier, x in zip(classifiers, normed, strict=True))

    def heads(self) -> list[nn.Parameter]:
        return [*super().heads(), *self.reduce.parameters()]


def _reduction(channels: int, dimension: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, dimension, 1), nn.BatchNorm2d(dimension), nn.ReLU(inplace=True))


class Stripes(Method):
    """Cut every branch's layer4 map into stripes.

    Args:
        count: stripes. dimension: length of a stripe's feature; 0: layer4's channels.
        neck: a BNNeck between a stripe's feature and its classifier.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        count: Annotated[int, Field(ge=1, le=64)] = 6,
        dimension: Annotated[int, Field(ge=0, le=4096)] = 0,
        neck: bool = True,
    ) -> None:
        super().__init__(config)
        self.config, self.count, self.dimension, self.neck = config, count, dimension, neck

    def branch(self, classes: int) -> Branch:
        return StripedBranch(self.config, classes, self.count, self.dimension, self.neck)
