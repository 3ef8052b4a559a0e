"""The interface of a backbone, and the backbones by name; docs/adding-a-backbone.md adds one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.pooling import GeneralisedMean
from vireid.plugins import build, find
from vireid.types import VireidError

BACKBONES = {
    "resnet18": "vireid.models.resnet:ResNet18",
    "resnet34": "vireid.models.resnet:ResNet34",
    "resnet50": "vireid.models.resnet:ResNet50",
    "resnet18_ibn_a": "vireid.models.resnet:ResNet18Ibn",
    "resnet34_ibn_a": "vireid.models.resnet:ResNet34Ibn",
    "resnet50_ibn_a": "vireid.models.resnet:ResNet50Ibn",
    "vit_tiny": "vireid.models.vit:VitTiny",
    "vit_small": "vireid.models.vit:VitSmall",
    "vit_base": "vireid.models.vit:VitBase",
    "vit_base_clip": "vireid.models.vit:VitBaseClip",
}
"""The built-in backbones."""

OWN_FIELDS = ("base_width", "last_stride", "padding", "gem_power")
"""Fields of `ModelConfig` that not every backbone reads."""

_DEFAULTS = ModelConfig()


class Tokens(NamedTuple):
    """What the parts of a transformer pass on: ``values`` (b, 1 + height * width, c), the class token first."""

    values: Tensor
    height: int
    width: int


Shared: TypeAlias = "Tensor | Tokens"
"""What the parts of a backbone pass on: a map (b, c, h, w), or `Tokens`."""


def map_of(x: Shared) -> Tensor:
    """The map (b, c, h, w); for tokens, their grid without the class token."""
    return x.values[:, 1:].mT.unflatten(2, (x.height, x.width)) if isinstance(x, Tokens) else x


def with_map(x: Shared, features: Tensor) -> Shared:
    """The same with another map (b, c, h, w); a class token is kept."""
    if not isinstance(x, Tokens):
        return features
    values = torch.cat([x.values[:, :1], features.flatten(2).mT.to(x.values.dtype)], 1)
    return Tokens(values, x.height, x.width)


def join(parts: Sequence[Shared]) -> Shared:
    """Put the rows of several batches together."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if isinstance(first, Tokens):
        return Tokens(torch.cat([x.values for x in parts if isinstance(x, Tokens)]), first.height, first.width)
    return torch.cat([x for x in parts if isinstance(x, Tensor)])


def split(x: Shared, sizes: list[int]) -> list[Shared]:
    """Undo `join`, given the numbers of rows."""
    if isinstance(x, Tokens):
        return [Tokens(values, x.height, x.width) for values in x.values.split(sizes)]
    return list(x.split(sizes))


class Stage(nn.Sequential):
    """The blocks of one stage."""

    def forward(self, x: Shared, after: Callable[[Tensor, int], Tensor] | None = None) -> Shared:
        """Run the blocks; ``after`` changes the map of each block and also gets the block's 0-based number."""
        for index, block in enumerate(self):
            x = block(x)
            if after:
                x = with_map(x, after(map_of(x), index))
        return x


@runtime_checkable
class Multiplies(Protocol):
    """A module that multiplies activations by each other outside any layer."""

    def products(self, x: Tensor) -> int:
        """Multiply-accumulates of these products in a forward pass on ``x``."""
        ...


class Backbone(ABC):
    """A network, cut where two streams and several branches need it: a stem, then layer1 to layer4.

    Each modality has a stem (with ``model.shared_from: layer2`` the stem includes a layer1; with ``input`` both
    modalities share one stem), layer1 to layer3 are shared, and each branch has a copy of layer4. DFW follows layer2
    and layer3. A backbone only makes these parts; the network keeps them.

    A recipe names it in ``model.backbone``. The keyword-only arguments of its constructor are its options,
    ``model.options``, whose annotations are checked.

    Args:
        config: the network it becomes part of.
        size: height and width of the images in pixels.
    """

    channels: tuple[int, int, int, int, int]
    """Channels of the maps after the stem without layer1, layer1, layer2, layer3 and layer4; set by the constructor."""
    blocks: tuple[int, int, int, int]
    """Numbers of blocks of layer1 to layer4; set by the constructor."""
    weights: Mapping[str, str] = {}
    """Published weights by the name in ``model.weights``, see `vireid.models.weights.download`."""
    reads: tuple[str, ...] = ("padding", "gem_power")
    """Those of `OWN_FIELDS` that it reads; the others have to keep their default."""
    tokens = False
    """Whether its parts pass on `Tokens`, to which the network adds an embedding of the modality."""

    def __init__(self, config: ModelConfig, size: tuple[int, int]) -> None:
        self.config, self.size = config, size

    @abstractmethod
    def stem(self, own_layer1: bool) -> nn.Module:
        """Make the stem: images (b, 3, h, w) to the input of layer1 or, if the stem includes layer1, of layer2."""

    @abstractmethod
    def stage(self, number: int) -> Stage:
        """Make layer1, layer2, layer3 or layer4."""

    def pool(self) -> nn.Module:
        """Make the pooling: layer4's output, or a part (b, c, h, w) of its map, to a feature (b, c)."""
        return GeneralisedMean(self.config.gem_power)

    def adapt(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Convert published tensors to the form that this network needs and drop those outside the trunk.

        Raises:
            VireidError: a tensor cannot be converted.
        """
        return tensors

    def beside(self, weights: str) -> str:
        """What a recipe has to set besides the path of a file with the published ``weights``; "" for nothing."""
        return ""

    def source_of(self, name: str) -> str:
        """Return the published name of a tensor; ``name`` begins with layer1. to layer4., or is a name in the stem."""
        return name


def build_backbone(config: ModelConfig, size: tuple[int, int] = (288, 144)) -> Backbone:
    """Make the backbone that a recipe names, see `vireid.plugins.find`.

    Args:
        size: height and width of the images in pixels; channels and blocks do not depend on it.

    Raises:
        VireidError: an unknown backbone or option, a value out of range, or a field of ``model`` that it does not read.
    """
    cls = find(
        "backbone",
        config.backbone,
        BACKBONES,
        "model.backbone",
        expected="a class derived from vireid.models.backbone.Backbone",
        accepts=lambda found: isinstance(found, type) and issubclass(found, Backbone),
    )
    for field in OWN_FIELDS:
        value, default = getattr(config, field), getattr(_DEFAULTS, field)
        if field not in cls.reads and value != default:
            raise VireidError(f"model.{field}={value}: {config.backbone} has no such setting; leave it at {default}")
    backbone: Backbone = build(cls, config.options, "model.options", config, size)
    return backbone


def describe(config: ModelConfig) -> str:
    """Return the name of a recipe's backbone with its settings, for reports and errors."""
    settings = {"base_width": config.base_width} if "base_width" in build_backbone(config).reads else {}
    words = ", ".join(f"{name} {value}" for name, value in {**settings, **config.options}.items())
    return f"{config.backbone} ({words})" if words else config.backbone


def initialise(module: nn.Module) -> None:
    """He-normal convolutions (fan out) and unit BatchNorm, as torchvision starts from scratch."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
