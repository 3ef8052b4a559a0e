"""A plain vision transformer in double precision, driven by nothing but a state dictionary of timm's names."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.float64]


def timm_state(
    width: int, depth: int, grid: tuple[int, int], *, clip: bool = False, head: int = 0, seed: int = 0
) -> dict[str, Tensor]:
    """Return random tensors under timm's names of a ViT on patches of 16 x 16.

    ``clip``: of a CLIP tower, which has a norm before the blocks and no bias of the patches. ``head``: classes, 0 as in
    DINO's files, which have no classifier.
    """
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int, scale: float = 0.2) -> Tensor:
        return torch.randn(*shape, generator=generator) * scale

    state = {
        "cls_token": drawn(1, 1, width),
        "pos_embed": drawn(1, 1 + grid[0] * grid[1], width),
        "patch_embed.proj.weight": drawn(width, 3, 16, 16, scale=0.03),
    }
    norms = ["norm"]
    if clip:
        norms.append("norm_pre")
    else:
        state["patch_embed.proj.bias"] = drawn(width)
    for block in (f"blocks.{i}" for i in range(depth)):
        norms += [f"{block}.norm1", f"{block}.norm2"]
        layers = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
        for name, (outputs, inputs) in layers.items():
            state[f"{block}.{name}.weight"] = drawn(outputs * width, inputs * width)
            state[f"{block}.{name}.bias"] = drawn(outputs * width)
    for name in norms:
        state[f"{name}.weight"] = 1 + drawn(width)
        state[f"{name}.bias"] = drawn(width)
    if head:
        state |= {"head.weight": drawn(head, width), "head.bias": drawn(head)}
    return state


def plain_vit(
    state: dict[str, Tensor], images: Tensor, heads: int, stride: int, *, clip: bool = False
) -> dict[str, Tensor]:
    """Outputs of the blocks by their names, and of the last norm by "norm": (b, 1 + positions, width) each.

    Args:
        images: (b, 3, h, w), normalised as the weights want them. clip: see `timm_state`; with CLIP's GELU and epsilon.
    """
    state = {name: value.double() for name, value in state.items()}
    rows = range(0, images.shape[2] - 15, stride)
    columns = range(0, images.shape[3] - 15, stride)
    patches = [images[:, :, i : i + 16, j : j + 16].double().flatten(1) for i in rows for j in columns]
    tokens = torch.stack(patches, 1) @ state["patch_embed.proj.weight"].flatten(1).T
    tokens = tokens + state.get("patch_embed.proj.bias", torch.zeros(1))
    x = torch.cat([state["cls_token"].expand(len(images), -1, -1), tokens], 1) + state["pos_embed"]
    epsilon = 1e-5 if clip else 1e-6
    if clip:
        x = _norm(state, "norm_pre", x, epsilon)
    outputs = {}
    for block in (f"blocks.{i}" for i in range(_depth(state))):
        y = _linear(state, f"{block}.attn.qkv", _norm(state, f"{block}.norm1", x, epsilon))
        x = x + _linear(state, f"{block}.attn.proj", _attended(y, heads))
        y = _linear(state, f"{block}.mlp.fc1", _norm(state, f"{block}.norm2", x, epsilon))
        y = y / (1 + (-1.702 * y).exp()) if clip else y * (1 + torch.special.erf(y / math.sqrt(2))) / 2
        x = outputs[block] = x + _linear(state, f"{block}.mlp.fc2", y)
    outputs["norm"] = _norm(state, "norm", x, epsilon)
    return outputs


def resized(grid: Array, height: int, width: int) -> Array:
    """Bicubic resampling (Keys, a = -0.5) of one map (h, w), widened where it shrinks so that nothing is skipped."""
    return _resampled(_resampled(grid, height).T, width).T


def _resampled(grid: Array, length: int) -> Array:
    """Resample the rows to another number of rows."""
    scale = len(grid) / length
    reach = max(scale, 1.0)
    made = np.zeros((length, grid.shape[1]))
    for row in range(length):
        centre = (row + 0.5) * scale
        low, high = max(0, int(centre - 2 * reach + 0.5)), min(len(grid), int(centre + 2 * reach + 0.5))
        weights = [_keys((source + 0.5 - centre) / reach) for source in range(low, high)]
        for source, weight in zip(range(low, high), weights, strict=True):
            made[row] += grid[source] * weight / sum(weights)
    return made


def _keys(x: float) -> float:
    x, a = abs(x), -0.5
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def _attended(qkv: Tensor, heads: int) -> Tensor:
    """Softmax attention, one image and one head at a time."""
    width = qkv.shape[2] // 3
    size = width // heads
    made = torch.zeros(*qkv.shape[:2], width, dtype=qkv.dtype)
    for image in range(len(qkv)):
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            query, key, value = (qkv[image, :, part * width : (part + 1) * width][:, own] for part in range(3))
            scores = (query @ key.T / math.sqrt(size)).exp()
            made[image, :, own] = scores / scores.sum(1, keepdim=True) @ value
    return made


def _linear(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _norm(state: dict[str, Tensor], name: str, x: Tensor, epsilon: float) -> Tensor:
    mean, variance = x.mean(2, keepdim=True), x.var(2, correction=0, keepdim=True)
    return (x - mean) / (variance + epsilon).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def _depth(state: dict[str, Tensor]) -> int:
    return 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
