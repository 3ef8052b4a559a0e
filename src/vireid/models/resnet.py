"""Residual stages with torchvision's parameter names (He et al., CVPR 2016), cut where the two streams need it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.backbone import Backbone, Stage
from vireid.models.convolution import Conv3x3


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    if kernel == 3:
        return Conv3x3(inputs, outputs, stride)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class IBN(nn.Module):
    """IBN-a (Pan et al., ECCV 2018): instance normalisation of the first half of the channels, BatchNorm of the rest.

    Its parts have the names of the published weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.IN = nn.InstanceNorm2d(channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(channels - channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        first, rest = x.split([self.IN.num_features, self.BN.num_features], 1)
        return torch.cat([self.IN(first), self.BN(rest)], 1)


def _norm(channels: int, ibn: bool) -> nn.Module:
    return IBN(channels) if ibn else nn.BatchNorm2d(channels)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (ResNet-18 and 34)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, ibn: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 3, stride), _norm(width, ibn)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with the stride on the 3x3, as in torchvision (ResNet-50)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, ibn: bool) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1, self.bn1 = _conv(inputs, width, 1), _norm(width, ibn)
        self.conv2, self.bn2 = _conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)  # type: ignore[no-any-return]


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Stem(nn.Module):
    """layer0 (conv1, bn1, relu, maxpool) and, unless it is shared, layer1: (b, 3, h, w) to (b, c, h/4, w/4)."""

    def __init__(self, backbone: ResNet, own_layer1: bool) -> None:
        super().__init__()
        width = backbone.channels[0]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = backbone.stage(1) if own_layer1 else None

    def forward(self, images: Tensor) -> Tensor:
        # max and ReLU commute, so pooling first leaves a quarter of the values to rectify
        x = self.relu(self.maxpool(self.bn1(self.conv1(images))))
        return x if self.layer1 is None else self.layer1(x)  # type: ignore[no-any-return]


class ResNet(Backbone):
    """Stages of BasicBlocks or Bottlenecks; the published names of its tensors are its own."""

    reads = ("base_width", "last_stride", "padding", "gem_power")
    block: ClassVar[type[BasicBlock] | type[Bottleneck]]
    counts: ClassVar[tuple[int, int, int, int]]
    ibn = False
    """Whether the first norm of the blocks of layer1 to layer3 is an `IBN`."""

    def __init__(self, config: ModelConfig, size: tuple[int, int]) -> None:
        super().__init__(config, size)
        first, second, third, last = (config.base_width * 2**i * self.block.expansion for i in range(4))
        self.channels, self.blocks = (config.base_width, first, second, third, last), self.counts

    def stem(self, own_layer1: bool) -> Stem:
        return Stem(self, own_layer1)

    def stage(self, number: int) -> Stage:
        """Map (b, c_in, h, w) to (b, c_out, ceil(h / stride), ceil(w / stride))."""
        stride = (1, 2, 2, self.config.last_stride)[number - 1]
        width, ibn = self.config.base_width * 2 ** (number - 1), self.ibn and number < 4
        before, outputs = self.channels[number - 1 : number + 1]
        blocks: list[nn.Module] = [self.block(before, width, stride, ibn)]
        blocks += [self.block(outputs, width, 1, ibn) for _ in range(self.counts[number - 1] - 1)]
        return Stage(*blocks)

    def adapt(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Leave out the classifier."""
        return {name: x for name, x in tensors.items() if name.startswith(("conv1.", "bn1.", "layer"))}


# The same ImageNet weights as torchvision's IMAGENET1K_V1, which the field starts from, as safetensors on the hub.
class ResNet18(ResNet):
    block, counts, weights = BasicBlock, (2, 2, 2, 2), {"imagenet": "timm/resnet18.tv_in1k"}


class ResNet34(ResNet):
    block, counts, weights = BasicBlock, (3, 4, 6, 3), {"imagenet": "timm/resnet34.tv_in1k"}


class ResNet50(ResNet):
    block, counts, weights = Bottleneck, (3, 4, 6, 3), {"imagenet": "timm/resnet50.tv_in1k"}


_IBN_NET = "https://github.com/XingangPan/IBN-Net/releases/download/v1.0/"


class ResNet18Ibn(ResNet18):
    ibn, weights = True, {"imagenet": _IBN_NET + "resnet18_ibn_a-2f571257.pth"}


class ResNet34Ibn(ResNet34):
    ibn, weights = True, {"imagenet": _IBN_NET + "resnet34_ibn_a-94bc1577.pth"}


class ResNet50Ibn(ResNet50):
    ibn, weights = True, {"imagenet": _IBN_NET + "resnet50_ibn_a-d9d0bb7b.pth"}
