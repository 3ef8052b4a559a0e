"""Start the trunk from published ResNet weights (torchvision or timm names) and read weight files safely."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.types import VireidError

# The same ImageNet weights as torchvision's IMAGENET1K_V1, which the field starts from, as safetensors on the hub.
HUB_REPOSITORY = "timm/{backbone}.tv_in1k"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file, or a .pth/.pt/.bin one without running its pickle.

    Raises:
        VireidError: missing, truncated, a pickle of objects, or not a state dictionary.
    """
    if not path.is_file():
        raise VireidError(f"{path}: no such weights file; expected a .pth or .safetensors file")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, zipfile and torch each raise types of their own
        what = "truncated or not safetensors" if path.suffix == ".safetensors" else "not a weights-only .pth"
        raise VireidError(f"{path}: {what} ({' '.join(str(error).split())[:120]}); give intact weights") from None
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise VireidError(f"{path}: expected a dictionary of tensors, got {type(content).__name__}")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def imagenet_weights(backbone: str) -> Path:
    """Download (once) the ImageNet weights of a backbone and return the file.

    Raises:
        VireidError: no connection, or the hub does not answer.
    """
    from huggingface_hub import hf_hub_download

    repository = HUB_REPOSITORY.format(backbone=backbone)
    try:
        return Path(hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the hub's client raises many network types; all mean the same to the user
        raise VireidError(
            f"model.weights=imagenet: cannot download {repository} ({type(error).__name__}; offline?); connect once so "
            "that it is cached, or download the file elsewhere and pass model.weights=PATH (.safetensors or "
            "torchvision .pth)"
        ) from None


def load_trunk(trunk: Iterable[tuple[str, nn.Module]], config: ModelConfig) -> None:
    """Copy conv1 to layer4 of a ResNet into both stems, the shared stages and every branch.

    Args:
        trunk: these, each with the prefix of its parameters' names, see `TwoStreamNetwork.trunk`.

    Raises:
        VireidError: a tensor of the trunk is missing, misshapen or has no place (another architecture).
    """
    from_hub = config.weights == "imagenet"
    path = imagenet_weights(config.backbone) if from_hub else Path(config.weights).expanduser()
    source = read_tensors(path)
    targets = [(prefix + name, x) for prefix, module in trunk for name, x in module.state_dict().items()]
    problem = _misfit(source, targets)
    if problem:
        raise VireidError(
            f"{path}: {problem}; these are not weights of {config.backbone} with base_width "
            f"{config.base_width}, change model.backbone or model.weights"
        )
    for name, target in targets:
        if name in source:
            target.copy_(source[name])


def _misfit(source: dict[str, Tensor], targets: list[tuple[str, Tensor]]) -> str:
    """Say what of a weights file does not fit the trunk, "" where all does."""
    for name, target in targets:
        value = source.get(name)
        if value is None and name.endswith("num_batches_tracked"):  # not in weights of before PyTorch 0.4.1
            continue
        if value is None or value.shape != target.shape:
            found = "is missing" if value is None else f"has shape {tuple(value.shape)}"
            return f"{name} {found}, expected {tuple(target.shape)}"
    # ResNet-34 holds every tensor of ResNet-18, in the same shapes: what is left over tells them apart.
    trunk = {name for name in source if name.startswith(("conv1.", "bn1.", "layer"))}
    extra = sorted(trunk - {name for name, _ in targets})
    return f"{extra[0]} has no place in the network" if extra else ""
