"""Initialise the trunk from published weights, and read weight files safely."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vireid.models.backbone import Backbone, describe
from vireid.types import VireidError


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
    for wrapper in ("state_dict", "model"):  # as training scripts store them, timm's and DeiT's
        content = content.get(wrapper, content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise VireidError(f"{path}: expected a dictionary of tensors, got {type(content).__name__}")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def download(source: str, weights: str, beside: str = "") -> Path:
    """Download published weights once and return the file.

    Args:
        source: a repository of the Hugging Face hub, or the address of a file whose name ends in the first digits of
            its SHA-256. weights: their name in the recipe. beside: see `Backbone.beside`.

    Raises:
        VireidError: no connection, no answer, or bytes that do not match the SHA-256.
    """
    try:
        if source.startswith("https://"):
            path = Path(torch.hub.get_dir()) / "checkpoints" / source.rsplit("/", 1)[-1]
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(source, str(path), path.stem.rsplit("-", 1)[-1])
            return path
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(source, "model.safetensors"))
    except Exception as error:  # the clients raise many network types; all mean the same to the user
        raise VireidError(
            f"model.weights={weights}: cannot download {source} ({type(error).__name__}; offline?); connect once so "
            "that it is cached, or download the file elsewhere and pass model.weights=PATH (.safetensors or .pth)"
            f"{beside and ' and ' + beside}"
        ) from None


def load_trunk(trunk: Iterable[tuple[str, nn.Module]], backbone: Backbone) -> None:
    """Copy ``model.weights`` into the stems, the shared stages and every branch.

    Args:
        trunk: these modules, each with the prefix of its parameters' names, see `TwoStreamNetwork.trunk`.

    Raises:
        VireidError: a tensor of the trunk is missing, has another shape or has no place (another architecture).
    """
    weights, known = backbone.config.weights, backbone.weights
    path = Path(weights).expanduser()
    if weights in known:
        path = download(known[weights], weights, backbone.beside(weights))
    elif not path.exists() and not path.suffix and len(path.parts) == 1:
        names = ", ".join(["none", *known])
        raise VireidError(
            f"model.weights={weights}: {backbone.config.backbone} has no published weights of that name; expected one "
            f"of {names}, or a .pth or .safetensors file"
        )
    source = read_tensors(path)
    targets = [(prefix + name, x) for prefix, module in trunk for name, x in module.state_dict().items()]
    try:
        own = _of_run(source)
        source = own or backbone.adapt(source)
        places = [(name if own else backbone.source_of(name), target) for name, target in targets]
        _check(source, places)
    except VireidError as error:
        raise VireidError(
            f"{path}: {error}; these are not weights of {describe(backbone.config)}, change model.backbone, "
            "model.options or model.weights"
        ) from None
    for name, target in places:
        if name in source:
            target.copy_(source[name])


def _of_run(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The trunk in a run's model.safetensors by the names in `TwoStreamNetwork.trunk`; empty for other weights.

    Both stems get the visible one, trained in every run with visible images, and all branches get the first.
    """
    if not any(name.startswith("branches.0.layer4.") for name in tensors):
        return {}
    places = {"visible.": "", "branches.0.layer4.": "layer4.", **{f"layer{i}.": f"layer{i}." for i in (1, 2, 3)}}
    return {
        place + name.removeprefix(prefix): x
        for name, x in tensors.items()
        for prefix, place in places.items()
        if name.startswith(prefix)
    }


def _check(source: dict[str, Tensor], places: list[tuple[str, Tensor]]) -> None:
    """Raise `VireidError` that names the tensor of a weights file that does not fit the trunk."""
    for name, target in places:
        value = source.get(name)
        if value is None and name.endswith("num_batches_tracked"):  # absent from weights older than PyTorch 0.4.1
            continue
        if value is None or value.shape != target.shape:
            found = "is missing" if value is None else f"has shape {tuple(value.shape)}"
            raise VireidError(f"{name} {found}, expected {tuple(target.shape)}")
    # ResNet-34 holds every tensor of ResNet-18 in the same shape: only the extra tensors tell them apart.
    extra = sorted(set(source) - {name for name, _ in places})
    if extra:
        raise VireidError(f"{extra[0]} has no place in the network")
