"""A plain ResNet (torchvision's v1.5, or IBN-a) driven by nothing but a state dictionary, and such dictionaries."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCKS = {
    "resnet18": [2, 2, 2, 2],
    "resnet34": [3, 4, 6, 3],
    "resnet50": [3, 4, 6, 3],
    "resnet101": [3, 4, 23, 3],
}
"""Blocks per stage, table 1 of the ResNet paper."""


def torchvision_state(
    backbone: str, width: int = 64, classes: int = 1000, seed: int = 0, ibn: bool = False
) -> dict[str, Tensor]:
    """Return random tensors under the names and in the shapes of a torchvision ResNet, with its fc layer.

    ``ibn``: of IBN-Net's ResNets of kind a.
    """
    generator = torch.Generator().manual_seed(seed)
    deep = backbone in ("resnet50", "resnet101")
    state: dict[str, Tensor] = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int) -> None:
        scale = (2 / (inputs * kernel * kernel)) ** 0.5
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=generator) * scale

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"] = torch.rand(channels, generator=generator) + 0.5
        state[f"{name}.bias"] = torch.randn(channels, generator=generator) * 0.1
        state[f"{name}.running_mean"] = torch.randn(channels, generator=generator) * 0.1
        state[f"{name}.running_var"] = torch.rand(channels, generator=generator) + 1.0
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("conv1", width, 3, 7)
    norm("bn1", width)
    inputs = width
    for stage, blocks in enumerate(BLOCKS[backbone], start=1):
        inner = width * 2 ** (stage - 1)
        outputs = inner * 4 if deep else inner
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes = [(inputs, inner, 1), (inner, inner, 3), (inner, outputs, 1)]
            if not deep:
                shapes = [(inputs, inner, 3), (inner, inner, 3)]
            for number, (before, after, kernel) in enumerate(shapes, start=1):
                conv(f"{name}.conv{number}", after, before, kernel)
                if ibn and number == 1 and stage < 4:
                    half = after // 2
                    state[f"{name}.bn1.IN.weight"] = torch.rand(half, generator=generator) + 0.5
                    state[f"{name}.bn1.IN.bias"] = torch.randn(half, generator=generator) * 0.1
                    norm(f"{name}.bn1.BN", after - half)
                else:
                    norm(f"{name}.bn{number}", after)
            if block == 0 and (stage > 1 or deep):
                conv(f"{name}.downsample.0", outputs, inputs, 1)
                norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    state["fc.weight"] = torch.randn(classes, inputs, generator=generator)
    state["fc.bias"] = torch.zeros(classes)
    return state


def trunk_forward(state: dict[str, Tensor], images: Tensor, last_stride: int) -> list[Tensor]:
    """Outputs of the stem and of layer1 to layer4 in evaluation mode; needs no network object."""
    x = F.conv2d(images, state["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(F.relu(_norm(state, "bn1", x)), 3, stride=2, padding=1)
    outputs = [x]
    for stage in range(1, 5):
        stride = {1: 1, 2: 2, 3: 2, 4: last_stride}[stage]
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in state:
            x = _block(state, f"layer{stage}.{block}", x, stride if block == 0 else 1)
            block += 1
        outputs.append(x)
    return outputs


def _block(state: dict[str, Tensor], name: str, x: Tensor, stride: int) -> Tensor:
    deep = f"{name}.conv3.weight" in state
    strided = 2 if deep else 1  # the stride sits on the 3x3 convolution of a bottleneck
    y = x
    for number in range(1, 4 if deep else 3):
        kernel = state[f"{name}.conv{number}.weight"]
        step = stride if number == strided else 1
        y = F.conv2d(y, kernel, stride=step, padding=(kernel.shape[-1] - 1) // 2)
        y = _norm(state, f"{name}.bn{number}", y)
        if number < (3 if deep else 2):
            y = F.relu(y)
    if f"{name}.downsample.0.weight" in state:
        x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
        x = _norm(state, f"{name}.downsample.1", x)
    return F.relu(x + y)


def initial_state(backbone: str, width: int, classes: int, branches: int) -> dict[str, Tensor]:
    """Draw the start of a two-stream network as every version has drawn it: its convolutions and classifiers.

    Every layer draws PyTorch's own start in the order of the network; then all convolutions are drawn anew.
    """
    trunk = torchvision_state(backbone, width)
    convolutions = [name for name, value in trunk.items() if value.ndim == 4]
    before = [name for name in convolutions if name.startswith(("conv1", "layer1"))]
    names = [f"{stream}.{name}" for stream in ("visible", "infrared") for name in before]
    names += [name for name in convolutions if name.startswith(("layer2", "layer3"))]
    last = [name for name in convolutions if name.startswith("layer4")]
    features = trunk["fc.weight"].shape[1]
    shapes = {name: trunk[name.split(".", 1)[1] if name[0] in "vi" else name].shape for name in names}
    state: dict[str, Tensor] = {}
    for shape in shapes.values():
        torch.nn.Conv2d(shape[1], shape[0], shape[2], bias=False)
    for branch in range(branches):
        for name in last:
            shape = shapes[f"branches.{branch}.{name}"] = trunk[name].shape
            torch.nn.Conv2d(shape[1], shape[0], shape[2], bias=False)
        torch.nn.Linear(features, classes, bias=False)
        state[f"branches.{branch}.classifier.weight"] = torch.randn(classes, features) * 0.001
    for name, shape in shapes.items():
        state[name] = torch.randn(shape) * (2 / (shape[0] * shape[2] * shape[3])) ** 0.5
    return state


def _norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    if f"{name}.IN.weight" in state:
        half = len(state[f"{name}.IN.weight"])
        first = x[:, :half]
        mean, variance = first.mean((2, 3), keepdim=True), first.var((2, 3), correction=0, keepdim=True)
        weight, bias = (state[f"{name}.IN.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
        first = (first - mean) / (variance + 1e-5).sqrt() * weight + bias
        return torch.cat([first, _norm(state, f"{name}.BN", x[:, half:])], 1)

    def column(part: str) -> Tensor:
        return state[f"{name}.{part}"].view(1, -1, 1, 1)

    scaled = (x - column("running_mean")) / (column("running_var") + 1e-5).sqrt()
    return scaled * column("weight") + column("bias")
