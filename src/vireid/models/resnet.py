"""Residual stages with torchvision's parameter names (He et al., CVPR 2016), cut where the two streams need it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from vireid.models.convolution import Conv3x3

STAGE_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    if kernel == 3:
        return Conv3x3(inputs, outputs, stride)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (ResNet-18 and 34)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
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

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1, self.bn1 = _conv(inputs, width, 1), nn.BatchNorm2d(width)
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


def stage_channels(backbone: str, base_width: int, stage: int) -> int:
    """Output channels of ``layer{stage}``, stage 1 to 4 (0 is the stem)."""
    if stage == 0:
        return base_width
    expansion = Bottleneck.expansion if backbone == "resnet50" else BasicBlock.expansion
    return int(base_width * 2 ** (stage - 1) * expansion)


class Stage(nn.Sequential):
    """The blocks of one stage."""

    def forward(self, x: Tensor, after: Callable[[Tensor, int], Tensor] | None = None) -> Tensor:
        """Run the blocks; ``after`` changes the output of each, of which it gets the 0-based number too."""
        for index, block in enumerate(self):
            x = block(x)
            if after:
                x = after(x, index)
        return x


def make_stage(backbone: str, base_width: int, stage: int, stride: int) -> Stage:
    """Build ``layer{stage}``: (b, c_in, h, w) to (b, c_out, ceil(h / stride), ceil(w / stride))."""
    block = Bottleneck if backbone == "resnet50" else BasicBlock
    inputs, width = stage_channels(backbone, base_width, stage - 1), base_width * 2 ** (stage - 1)
    blocks: list[nn.Module] = [block(inputs, width, stride)]
    outputs = stage_channels(backbone, base_width, stage)
    blocks += [block(outputs, width, 1) for _ in range(STAGE_BLOCKS[backbone][stage - 1] - 1)]
    return Stage(*blocks)


class Stem(nn.Module):
    """layer0 (conv1, bn1, relu, maxpool) and, unless it is shared, layer1: (b, 3, h, w) to (b, c, h/4, w/4)."""

    def __init__(self, backbone: str, base_width: int, layer1: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, base_width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = make_stage(backbone, base_width, 1, 1) if layer1 else None

    def forward(self, images: Tensor) -> Tensor:
        # the largest of rectified values is the largest rectified, so a quarter of them need it
        x = self.relu(self.maxpool(self.bn1(self.conv1(images))))
        return x if self.layer1 is None else self.layer1(x)  # type: ignore[no-any-return]


def initialise(module: nn.Module) -> None:
    """He-normal convolutions (fan out) and unit BatchNorm, as torchvision starts from scratch."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
