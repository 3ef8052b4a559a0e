"""The two-stream network: stems per modality, shared layer2 and layer3 with DFW, N branches (Fig. 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vireid.config import ModelConfig
from vireid.models.backbone import Shared, Stage, Tokens, build_backbone, initialise, join, map_of, split, with_map
from vireid.models.method import Method, mean_of_copies, overrides
from vireid.models.segmented import Branch
from vireid.models.weakening import DynamicFeatureWeakening
from vireid.models.weights import load_trunk
from vireid.types import Modality, VireidError


class Output(NamedTuple):
    """What the losses read. Rows are all visible images, then all infrared ones, and in training a method's copies.

    ``maps`` holds each branch's layer4 map (b, d, h, w), ``pooled`` and ``normed`` its feature (b, d) before and after
    the BNNeck, ``logits`` its class scores (b, classes) in training mode and nothing otherwise. A branch that a method
    cuts into stripes has one map and a feature for every stripe. ``forms`` is the number of groups of rows: 1, or more
    with copies.
    """

    maps: tuple[Tensor, ...]
    pooled: tuple[Tensor, ...]
    normed: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]
    forms: int = 1


class TwoStreamNetwork(nn.Module):
    """Maps visible and infrared images to features in one space.

    Args:
        config: architecture; ``weights`` is not read here, see `build_network`.
        classes: training identities.
        methods: the methods in ``config.methods``, see `vireid.build.build_methods`.
        size: height and width of the images in pixels, for a backbone with an embedding of every position.

    Raises:
        VireidError: the methods are not those of the config, or see `build_backbone`.
    """

    def __init__(
        self,
        config: ModelConfig,
        classes: int,
        methods: Mapping[str, Method] | None = None,
        *,
        size: tuple[int, int] = (288, 144),
    ) -> None:
        super().__init__()
        methods = methods or {}
        if sorted(methods) != sorted(config.methods):
            given, asked = (", ".join(sorted(names)) or "none" for names in (methods, config.methods))
            raise VireidError(f"model.methods: expected {asked}, got {given}; pass build_methods(config)")
        self.backbone = backbone = build_backbone(config, size)
        own_layer1 = config.shared_from == "layer2"
        # Zero, so that with published weights the network starts as the published one.
        embeddings = nn.Parameter(torch.zeros(len(Modality), backbone.channels[0])) if backbone.tokens else None
        self.modality: nn.Parameter | None = embeddings
        self.visible = backbone.stem(own_layer1)
        self.infrared = None if config.shared_from == "input" else backbone.stem(own_layer1)
        self.layer1 = None if own_layer1 else backbone.stage(1)
        self.layer2 = backbone.stage(2)
        self.layer3 = backbone.stage(3)
        self.weakening = nn.ModuleDict({stage: _weakening(config) for stage in config.weakening.after})
        self.branches = nn.ModuleList(_branch(config, classes, methods) for _ in range(config.branches))
        initialise(self)
        for branch in self._branches():
            branch.initialise()
        # After the lines above: a method starts its own parameters. The name of a module may hold no dots.
        self.methods = nn.ModuleDict({name.replace(".", "/"): method for name, method in methods.items()})

    def forward(self, visible: Tensor | None, infrared: Tensor | None) -> Output:
        """Map normalised images (b_v, 3, h, w) and (b_i, 3, h, w) to an `Output` of b_v + b_i rows.

        Either side may be None, not both.
        """
        sides = [(m, x) for m, x in zip(Modality, (visible, infrared), strict=True) if x is not None]
        shared = self._stem_features(sides)
        for name, stage in self.stages().items():
            inputs = shared
            shared = stage(shared, partial(self._after_block, name) if self._methods_with("block") else None)
            for method in self._methods_with("stage").values():
                shared = _replaced(shared, method.stage(map_of(shared), map_of(inputs), name))
            if name in self.weakening:
                shared = with_map(shared, self.weakening[name](map_of(shared)))
        maps, pooled, normed = zip(*(branch(shared) for branch in self.branches), strict=True)
        logits = [b.classify(x) for b, x in zip(self._branches(), normed, strict=True)] if self.training else []
        forms = _times(map_of(shared).shape[0], sum(images.shape[0] for _, images in sides))
        output = Output(maps, tuple(chain(*pooled)), tuple(chain(*normed)), tuple(chain(*logits)), forms)
        return output if self.training or forms == 1 else self._joined(output, forms)

    def stems(self) -> list[nn.Module]:
        """One stem, or one for each modality."""
        return [self.visible] if self.infrared is None else [self.visible, self.infrared]

    def stages(self) -> dict[str, Stage]:
        """The stages that both modalities share, in order, without the branches' layer4."""
        stages = {"layer1": self.layer1, "layer2": self.layer2, "layer3": self.layer3}
        return {name: stage for name, stage in stages.items() if stage is not None}

    def heads(self) -> list[nn.Parameter]:
        """Parameters of the BNNecks and classifiers, which published weights do not initialise."""
        return [p for b in self._branches() for p in b.heads()]

    def trunk(self) -> Iterator[tuple[str, nn.Module]]:
        """The modules that published weights initialise, each with the prefix of its parameters' published names."""
        yield from (("", stem) for stem in self.stems())
        yield from ((f"{name}.", stage) for name, stage in self.stages().items())
        yield from (("layer4.", branch.layer4) for branch in self._branches())

    def _stem_features(self, sides: list[tuple[Modality, Tensor]]) -> Shared:
        """Features of the images of both modalities, then of their first copies, and so on."""
        images = [x.shape[0] for _, x in sides]
        for method in self._methods_with("images").values():
            sides = [(modality, method.images(images, modality)) for modality, images in sides]
        stems = [self.visible if m is Modality.VISIBLE else self.infrared or self.visible for m, _ in sides]
        if self.infrared is None:
            whole = self.visible(torch.cat([images for _, images in sides]))
            features = split(whole, [images.shape[0] for _, images in sides])
        else:
            features = [stem(images) for stem, (_, images) in zip(stems, sides, strict=True)]
        for method in self._methods_with("stem").values():
            for i, (modality, _) in enumerate(sides):
                features[i] = _replaced(features[i], method.stem(map_of(features[i]), modality))
        features = [self._with_modality(x, modality) for x, (modality, _) in zip(features, sides, strict=True)]
        forms = _times(sum(map_of(x).shape[0] for x in features), sum(images))
        if forms == 1:
            return join(features)
        parts = [split(x, [count] * forms) for x, count in zip(features, images, strict=True)]
        return join(list(chain(*zip(*parts, strict=True))))

    def _joined(self, output: Output, forms: int) -> Output:
        """One row per image in place of the rows of its copies; the map is its own."""
        maps = tuple(x.unflatten(0, (forms, -1))[0] for x in output.maps)
        rows = [embedding(x).unflatten(0, (forms, -1)) for x in (output.pooled, output.normed)]
        joining = [method.join for method in self._methods_with("join").values()] or [mean_of_copies]
        pooled, normed = joining[0](*rows)
        return Output(maps, (pooled,), (normed,), output.logits)

    def _with_modality(self, x: Shared, modality: Modality) -> Shared:
        if self.modality is None or not isinstance(x, Tokens):
            return x
        return Tokens(x.values + self.modality[modality], x.height, x.width)

    def _after_block(self, stage: str, features: Tensor, index: int) -> Tensor:
        for method in self._methods_with("block").values():
            features = method.block(features, stage, index)
        return features

    def _methods_with(self, hook: str) -> dict[str, Method]:
        methods = cast("dict[str, Method]", dict(self.methods.items()))
        return {name: method for name, method in methods.items() if overrides(method, hook)}

    def _branches(self) -> list[Branch]:
        return cast("list[Branch]", list(self.branches))


def _replaced(x: Shared, features: Tensor) -> Shared:
    """``x`` with other maps, or with the maps of its rows' copies behind it."""
    times = _times(features.shape[0], map_of(x).shape[0])
    return join([with_map(x, part) for part in features.chunk(times)]) if times > 1 else with_map(x, features)


def _times(rows: int, images: int) -> int:
    """How many forms of the images the rows are; of no images one."""
    return rows // images if images else 1


@torch.no_grad()
def embedding_length(network: TwoStreamNetwork) -> int:
    """Length of the retrieval feature, told from a blank image."""
    training, device = network.training, next(network.parameters()).device
    features = network.eval()(torch.zeros(1, 3, *network.backbone.size, device=device), None).normed
    network.train(training)
    return sum(feature.shape[1] for feature in features)


def embedding(features: tuple[Tensor, ...]) -> Tensor:
    """L2-normalised concatenation (b, N * d) of the branches' features, the retrieval feature of section 3.3."""
    whole = torch.cat(features, dim=1)
    return normalize(whole.to(torch.promote_types(whole.dtype, torch.float32)))


def _branch(config: ModelConfig, classes: int, methods: Mapping[str, Method]) -> Branch:
    made = [branch for method in methods.values() if (branch := method.branch(classes)) is not None]
    return made[0] if made else Branch(config, classes)


def _weakening(config: ModelConfig) -> DynamicFeatureWeakening:
    w = config.weakening
    return DynamicFeatureWeakening(w.matrix, w.alpha, w.beta, w.gate, w.inference, w.detach)


def build_network(
    config: ModelConfig,
    classes: int,
    methods: Mapping[str, Method] | None = None,
    *,
    size: tuple[int, int] = (288, 144),
) -> TwoStreamNetwork:
    """Build the network and load ``config.weights`` into its trunk; the arguments are those of `TwoStreamNetwork`.

    Raises:
        VireidError: see `TwoStreamNetwork`; weights that cannot be downloaded, cannot be read or do not fit.

    Examples:
        >>> import torch, vireid
        >>> recipe = vireid.load_recipe("sysu-dfw", ["model.weights=none", "model.base_width=8"])
        >>> network = vireid.build_network(recipe.model, classes=395).eval()
        >>> output = network(visible=torch.rand(2, 3, 288, 144), infrared=torch.rand(1, 3, 288, 144))
        >>> [branch.shape for branch in output.normed]
        [torch.Size([3, 256]), torch.Size([3, 256])]
    """
    network = TwoStreamNetwork(config, classes, methods, size=size)
    if config.weights != "none":
        load_trunk(network.trunk(), network.backbone)
    return network
