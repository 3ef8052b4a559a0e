"""The two-stream network: stems per modality, shared layer2 and layer3 with DFW, N branches (Fig. 2)."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vireid.config import ModelConfig
from vireid.models.resnet import Stem, initialise, make_stage
from vireid.models.segmented import Branch
from vireid.models.weakening import DynamicFeatureWeakening
from vireid.models.weights import load_trunk


class Output(NamedTuple):
    """What the losses read; rows are all visible images, then all infrared ones.

    ``maps`` holds each branch's layer4 map (b, d, h, w), ``pooled`` and ``normed`` its feature (b, d) before and after
    the BNNeck, ``logits`` its class scores (b, classes) in training mode and nothing otherwise.
    """

    maps: tuple[Tensor, ...]
    pooled: tuple[Tensor, ...]
    normed: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]


class TwoStreamNetwork(nn.Module):
    """Visible and infrared images to features of one space.

    Args:
        config: architecture; ``weights`` is not read here, see `build_network`.
        classes: training identities.
    """

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__()
        backbone, width = config.backbone, config.base_width
        self.visible = Stem(backbone, width)
        self.infrared = Stem(backbone, width)
        self.layer2 = make_stage(backbone, width, 2, 2)
        self.layer3 = make_stage(backbone, width, 3, 2)
        self.weakening = nn.ModuleDict({stage: _weakening(config) for stage in config.weakening.after})
        branch = (backbone, width, config.last_stride, config.gem_power, classes)
        self.branches = nn.ModuleList(Branch(*branch) for _ in range(config.branches))
        initialise(self)

    def forward(self, visible: Tensor | None, infrared: Tensor | None) -> Output:
        """Map normalised images (b_v, 3, h, w) and (b_i, 3, h, w) to an `Output` of b_v + b_i rows.

        Either side may be None, not both.
        """
        sides = [stem(x) for stem, x in ((self.visible, visible), (self.infrared, infrared)) if x is not None]
        shared = torch.cat(sides) if len(sides) > 1 else sides[0]
        for name, stage in (("layer2", self.layer2), ("layer3", self.layer3)):
            shared = stage(shared)
            if name in self.weakening:
                shared = self.weakening[name](shared)
        maps, pooled, normed = zip(*(branch(shared) for branch in self.branches), strict=True)
        logits = ()
        if self.training:
            logits = tuple(b.classifier(x) for b, x in zip(self._branches(), normed, strict=True))
        return Output(maps, pooled, normed, logits)

    def heads(self) -> list[nn.Parameter]:
        """Parameters of the BNNecks and classifiers: those that no published weights start."""
        return [p for b in self._branches() for part in (b.bnneck, b.classifier) for p in part.parameters()]

    def _branches(self) -> list[Branch]:
        return cast("list[Branch]", list(self.branches))


def embedding(features: tuple[Tensor, ...]) -> Tensor:
    """L2-normalised concatenation (b, N * d) of the branches' features, the retrieval feature of section 3.3."""
    return normalize(torch.cat([f.float() for f in features], dim=1))


def _weakening(config: ModelConfig) -> DynamicFeatureWeakening:
    w = config.weakening
    return DynamicFeatureWeakening(w.matrix, w.alpha, w.beta, w.gate, w.inference)


def build_network(config: ModelConfig, classes: int) -> TwoStreamNetwork:
    """Build the network and start its trunk from ``config.weights``.

    Raises:
        VireidError: weights that cannot be had, read or fitted.
    """
    network = TwoStreamNetwork(config, classes)
    if config.weights != "none":
        load_trunk(network, config)
    return network
