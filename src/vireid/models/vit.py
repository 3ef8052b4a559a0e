"""Vision transformers (Dosovitskiy et al., ICLR 2021) with overlapping patches, as in TransReID (ICCV 2021)."""

from __future__ import annotations

from collections import OrderedDict
from math import isqrt
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, scaled_dot_product_attention

from vireid.config import ModelConfig
from vireid.models.backbone import Backbone, Shared, Stage, Tokens
from vireid.types import VireidError

PATCH = 16
"""Side of a patch in pixels."""

Pixels = Literal["imagenet", "half", "clip"]
PIXELS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and deviation of the colours (0 to 1) that weights were trained with; this project's images use the first."""


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


class Attention(nn.Module):
    """Multi-head self-attention: (b, n, c) to the same shape."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = _linear(width, 3 * width), _linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def products(self, x: Tensor) -> int:
        """Queries by keys and their softmax by values, see `vireid.models.backbone.Multiplies`."""
        batch, length, width = x.shape
        return 2 * batch * length * length * width


class Mlp(nn.Module):
    """Two linear layers with a GELU between them; ``quick``: with ``x * sigmoid(1.702 x)``, as CLIP was trained."""

    def __init__(self, width: int, quick: bool) -> None:
        super().__init__()
        self.fc1, self.fc2, self.quick = _linear(width, 4 * width), _linear(4 * width, width), quick

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x) if self.quick else gelu(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """``x + attn(norm1(x))``, then ``x + mlp(norm2(x))``; in training a share of the images skips each sum."""

    def __init__(self, width: int, heads: int, eps: float, quick: bool, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width, eps), Mlp(width, quick)
        self.drop_path = drop_path

    def forward(self, x: Tokens) -> Tokens:
        values = x.values + self._dropped(self.attn(self.norm1(x.values)))
        values = values + self._dropped(self.mlp(self.norm2(values)))
        return Tokens(values, x.height, x.width)

    def _dropped(self, update: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return update
        kept = torch.rand(len(update), 1, 1, device=update.device) >= self.drop_path
        return update * kept / (1 - self.drop_path)


class TokenNorm(nn.LayerNorm):
    """LayerNorm of `Tokens`."""

    def forward(self, x: Tokens) -> Tokens:  # type: ignore[override]
        return Tokens(super().forward(x.values), x.height, x.width)


class TokenPool(nn.Module):
    """The mean of the grid of `Tokens`, or their class token; a map has no token, so always its mean."""

    def __init__(self, kind: Literal["mean", "token"]) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Shared) -> Tensor:
        if isinstance(x, Tokens):
            return x.values[:, 0] if self.kind == "token" else x.values[:, 1:].mean(1)
        return x.mean((2, 3))


class PatchStem(nn.Module):
    """Patches, class token and position embeddings: images (b, 3, h, w) to `Tokens`; parts are named as in timm."""

    def __init__(self, backbone: VisionTransformer, own_layer1: bool) -> None:
        super().__init__()
        width, (rows, columns) = backbone.channels[0], backbone.grid
        self.grid, self.size = backbone.grid, backbone.size
        patches = nn.Conv2d(3, width, PATCH, backbone.stride)
        nn.init.zeros_(patches.bias)  # type: ignore[arg-type]
        self.patch_embed = nn.Sequential(OrderedDict(proj=patches))
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + rows * columns, width))
        for embedding in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(embedding, std=0.02)
        self.norm_pre = nn.LayerNorm(width, backbone.eps) if backbone.clip else nn.Identity()
        self.layer1 = backbone.stage(1) if own_layer1 else None

    def forward(self, images: Tensor) -> Tokens:
        if images.shape[2:] != self.size:
            wanted, found = ("x".join(str(side) for side in sides) for sides in (self.size, images.shape[2:]))
            raise VireidError(f"images: expected {wanted} pixels, for which the network was built, got {found}")
        patches = self.patch_embed(images)
        token = self.cls_token.expand(images.shape[0], -1, -1)
        values = self.norm_pre(torch.cat([token, patches.flatten(2).mT], 1) + self.pos_embed)
        tokens = Tokens(values, *self.grid)
        return tokens if self.layer1 is None else self.layer1(tokens)


class VisionTransformer(Backbone):
    """A transformer on patches of 16 x 16 pixels; its last blocks and norm are layer4, the rest layer1 to layer3.

    Args:
        stride: pixels from one patch to the next; below 16 they overlap. A remainder at the right or bottom is cut.
        depth: blocks. width: length of a token. heads: of the attention.
        tail: blocks of layer4.
        pool: a branch's feature is the mean of its grid, on which DFW, the overlap penalty and the response maps work,
            or its class token.
        drop_path: share of images that skip the last block in training (stochastic depth, rising from 0 in the first).
        pixels: normalisation the weights were trained with: ImageNet's mean and deviation (imagenet), 0.5 and 0.5
            (half), or CLIP's (clip). null: that of the published weights; for a file imagenet (for a CLIP tower clip).
    """

    tokens = True
    reads = ()
    defaults: ClassVar[tuple[int, int]]
    """Width and heads."""
    clip: ClassVar[bool] = False
    """Whether it is CLIP's variant: a norm before the blocks, and another GELU."""
    eps: ClassVar[float] = 1e-6
    trained_on: ClassVar[dict[str, Pixels]] = {"imagenet": "half", "dino": "imagenet"}
    """`PIXELS` of the published weights."""

    def __init__(
        self,
        config: ModelConfig,
        size: tuple[int, int],
        *,
        stride: Annotated[int, Field(ge=1, le=PATCH)] = PATCH,
        depth: Annotated[int, Field(ge=4, le=64)] = 12,
        width: Annotated[int, Field(ge=8, le=2048)] | None = None,
        heads: Annotated[int, Field(ge=1, le=64)] | None = None,
        tail: Annotated[int, Field(ge=1, le=61)] = 1,
        pool: Literal["mean", "token"] = "mean",
        drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        pixels: Pixels | None = None,
    ) -> None:
        super().__init__(config, size)
        self.width, self.heads = width or self.defaults[0], heads or self.defaults[1]
        if self.width % self.heads:
            raise VireidError(f"model.options.heads={self.heads}: expected a divisor of the width, {self.width}")
        if depth - tail < 3:
            raise VireidError(f"model.options.depth={depth}: expected at least 3 blocks above tail, {tail}")
        self.stride, self.pool_kind, self.drop_path = stride, pool, drop_path
        self._of_files: Pixels = "clip" if self.clip else "imagenet"
        self.pixels = pixels or self.trained_on.get(config.weights, self._of_files)
        self.grid = (size[0] - PATCH) // stride + 1, (size[1] - PATCH) // stride + 1
        self.channels = (self.width,) * 5
        first, second, third = ((depth - tail + 2 - i) // 3 for i in range(3))
        self.blocks = (first, second, third, tail)

    def stem(self, own_layer1: bool) -> PatchStem:
        return PatchStem(self, own_layer1)

    def stage(self, number: int) -> Stage:
        start, depth = sum(self.blocks[: number - 1]), sum(self.blocks)
        parts: dict[str, nn.Module] = {}
        for index in range(self.blocks[number - 1]):
            drop_path = self.drop_path * (start + index) / (depth - 1)
            parts[str(index)] = Block(self.width, self.heads, self.eps, self.clip, drop_path)
        if number == 4:
            parts["norm"] = TokenNorm(self.width, self.eps)
        return Stage(OrderedDict(parts))

    def pool(self) -> TokenPool:
        return TokenPool(self.pool_kind)

    def beside(self, weights: str) -> str:
        pixels = self.trained_on[weights]
        return "" if pixels == self._of_files else f"model.options.pixels={pixels}"

    def source_of(self, name: str) -> str:
        if not name.startswith("layer"):
            return name
        stage, index, rest = name.removeprefix("layer").split(".", 2)
        if index == "norm":
            return f"norm.{rest}"
        return f"blocks.{sum(self.blocks[: int(stage) - 1]) + int(index)}.{rest}"

    def adapt(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Drop the classifier, resize the position grid, and adapt the patches to ImageNet's normalisation."""
        tensors = {
            name: x for name, x in tensors.items() if not name.startswith(("head.", "head_drop.", "pre_logits."))
        }
        if "pos_embed" in tensors:
            tensors["pos_embed"] = resize_positions(tensors["pos_embed"], self.grid)
        kernel = tensors.get("patch_embed.proj.weight")
        if kernel is not None and kernel.ndim == 4 and kernel.shape[1] == 3:
            bias = tensors.get("patch_embed.proj.bias")
            if bias is None and self.clip:  # CLIP has none
                bias = kernel.new_zeros(len(kernel))
            if bias is not None and bias.shape == kernel.shape[:1]:
                kernel, bias = recolour(kernel, bias, self.pixels)
                tensors |= {"patch_embed.proj.weight": kernel, "patch_embed.proj.bias": bias}
        return tensors


def resize_positions(embedding: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resize position embeddings (1, 1 + n, c), the class token's first, to another grid: (1, 1 + h * w, c).

    The old grid of n is square, equal to the new one or, as in weights trained on people, twice as high as wide.
    Bicubic, and smoothed where the new grid is coarser.

    Raises:
        VireidError: another shape, or an n that fits none of these grids.
    """
    count = embedding.shape[1] - 1 if embedding.ndim == 3 and len(embedding) == 1 else 0
    side, half = isqrt(max(count, 0)), isqrt(max(count, 0) // 2)
    fitting = [old for old in ((side, side), grid, (2 * half, half)) if count > 0 and old[0] * old[1] == count]
    if not fitting:
        raise VireidError(
            f"pos_embed has shape {tuple(embedding.shape)}, expected (1, 1 + n, width) with n positions of a square "
            f"grid, of one twice as high as wide, or of {grid[0]} x {grid[1]}"
        )
    old = fitting[0]
    if old == grid:
        return embedding
    token, positions = embedding[:, :1].float(), embedding[:, 1:].float()
    maps = positions.mT.unflatten(2, old)
    resized = interpolate(maps, grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([token, resized.flatten(2).mT], 1)


def recolour(kernel: Tensor, bias: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Change a convolution without padding to take images in ImageNet's normalisation, with the same output.

    Args:
        kernel: (o, 3, h, w). bias: (o,).
    """
    (mean, deviation), (own_mean, own_deviation) = (
        [torch.tensor(x, dtype=torch.float64) for x in PIXELS[name]] for name in (pixels, "imagenet")
    )
    exact = kernel.double()
    shift = exact.sum((2, 3)) @ ((own_mean - mean) / deviation)
    scaled = exact * (own_deviation / deviation)[:, None, None]
    return scaled.float(), (bias.double() + shift).float()


class VitTiny(VisionTransformer):
    defaults, weights = (192, 3), {"imagenet": "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"}


class VitSmall(VisionTransformer):
    defaults = (384, 6)
    weights = {  # noqa: RUF012 - read only
        "imagenet": "timm/vit_small_patch16_224.augreg_in21k_ft_in1k",
        "dino": "timm/vit_small_patch16_224.dino",
    }


class VitBase(VisionTransformer):
    defaults = (768, 12)
    weights = {  # noqa: RUF012 - read only
        "imagenet": "timm/vit_base_patch16_224.augreg_in21k_ft_in1k",
        "dino": "timm/vit_base_patch16_224.dino",
    }


class VitBaseClip(VisionTransformer):
    """The image tower of OpenAI's CLIP ViT-B/16."""

    defaults, clip, eps = (768, 12), True, 1e-5
    weights = {"clip": "timm/vit_base_patch16_clip_224.openai"}  # noqa: RUF012 - read only
    trained_on: ClassVar[dict[str, Pixels]] = {"clip": "clip"}
