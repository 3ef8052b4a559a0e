"""Put dynamic feature weakening into a ResNet that is not this project's, in one line.

    python examples/plug_dfw_into_resnet.py

Takes torchvision's ResNet-18 where torchvision is installed, else a network of the same layout. Weights are
random and the image is a bright figure on noise: nothing is downloaded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from vireid import DynamicFeatureWeakening


def resnet18() -> tuple[Any, str]:
    """Return a ResNet-18 whose stages are named layer1 to layer4, and where it comes from."""
    try:
        from torchvision.models import resnet18 as torchvision_resnet18

        return torchvision_resnet18(weights=None), "torchvision's"
    except (ImportError, RuntimeError):  # not installed, or built for another PyTorch
        from vireid.config import ModelConfig
        from vireid.models.backbone import build_backbone

    ours = build_backbone(ModelConfig(backbone="resnet18", last_stride=2))
    layers: dict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, 1),
    )
    for number in range(1, 5):
        layers[f"layer{number}"] = ours.stage(number)
    layers |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(512, 1000)}
    return nn.Sequential(OrderedDict(layers)), "vireid's (no torchvision here)"


def figure() -> Tensor:
    """An image (1, 3, 288, 144): a bright upright rectangle on dark noise."""
    image = torch.randn(1, 3, 288, 144) * 0.2 - 1
    image[:, :, 60:240, 50:95] += 2.5
    return image


def strong_shares(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Share of the response (eq. 1) at the positions that were at or above its mean, before and after."""
    f_before, f_after = (x.mean(1) + x.amax(1) for x in (before, after))
    strong = f_before >= f_before.mean()
    return float(f_before[strong].sum() / f_before.sum()), float(f_after[strong].sum() / f_after.sum())


@torch.no_grad()
def main() -> None:
    torch.manual_seed(0)
    network, origin = resnet18()

    network.layer3 = nn.Sequential(network.layer3, DynamicFeatureWeakening(alpha=0.2))  # the one line

    maps: list[Tensor] = []
    network.layer3[1].register_forward_hook(lambda _module, inputs, output: maps.extend([*inputs, output]))
    scores = network.eval()(figure())
    before, after = strong_shares(*maps)
    print(f"Network: {origin} ResNet-18, {tuple(scores.shape)} scores, layer3 {tuple(maps[0].shape)} weakened")
    print(f"Share of layer3's response at its strongest positions: {before:.1%} before, {after:.1%} after")


if __name__ == "__main__":
    main()
