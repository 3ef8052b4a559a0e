"""Augmentation of whole batches on their device: exchange channels, pad and crop, mirror, erase, normalise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from vireid.config import DataConfig
from vireid.data.colour import COLOURS, Colour
from vireid.types import VireidError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Channel statistics of ImageNet on the 0-1 scale; both modalities use them, as the pretrained weights do."""

ERASED_ASPECT = {"uniform": (0.3, 1 / 0.3), "log-uniform": (0.3, 3.3)}
ATTEMPTS = 20
EXCHANGES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.299, 0.587, 0.114))
"""Shares of red, green and blue in the mix that replaces all three: one channel, or grey (ITU-R BT.601)."""


def normalise(images: Tensor) -> Tensor:
    """(b, 3, h, w) uint8 to float32: scale to 0-1, subtract ImageNet's mean, divide by its deviation.

    The result is in channels-last memory.
    """
    # whole rows of (width * 3) values at once: an operand whose last dimension is 3 defeats vectorisation
    batch, _, height, width = images.shape
    mean, std = torch.tensor(MEAN, device=images.device), torch.tensor(STD, device=images.device)
    scale, shift = (1 / (255 * std)).repeat(width), (-mean / std).repeat(width)
    rows = images.permute(0, 2, 3, 1).reshape(batch, height, width * 3).float()
    return rows.mul_(scale).add_(shift).view(batch, height, width, 3).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Draws:
    """The random draws for a batch of b images; all (b,) tensors.

    ``top`` and ``left``, in pixels from -pad to pad: where the crop begins in the image; ``mirrored``: bool;
    the erased box, in pixels of the crop after mirroring: ``box_top``, ``box_left``, ``box_height``,
    ``box_width`` (0 x 0 for no box); ``exchange``: the row of `EXCHANGES` whose mix all channels show, -1 for none.
    """

    top: Tensor
    left: Tensor
    mirrored: Tensor
    box_top: Tensor
    box_left: Tensor
    box_height: Tensor
    box_width: Tensor
    exchange: Tensor


@dataclass(frozen=True)
class Augment:
    """Random crop out of a border, horizontal mirroring, random erasing, then `normalise`.

    ``pad``: border in pixels. ``flip``, ``erase``: probabilities from 0 to 1. Random erasing (Zhong et al.,
    AAAI 2020): a box of 2 to 40 % of the image, aspect from 0.3 to 3.33, drawn anew (at most 20 times) until
    it fits, filled with ImageNet's mean colour, which is 0 after normalisation; ``area`` (from, to), ``aspect`` and
    ``fill`` (normalised values) change that. ``border``: grey level, 0-255. ``exchange``: probability of channel
    augmentation (Ye et al., CAJ, ICCV 2021): one channel or grey, equally likely, in place of all three. ``colour``: a
    published code's way of it, in place of that.
    """

    pad: int = 10
    flip: float = 0.5
    erase: float = 0.5
    exchange: float = 0.0
    border: int = 0
    area: tuple[float, float] = (0.02, 0.4)
    aspect: Literal["uniform", "log-uniform"] = "uniform"
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0)
    colour: Colour | None = None

    @classmethod
    def of(cls, config: DataConfig) -> Augment:
        """Return the augmentation of a recipe."""
        known = COLOURS.get(config.colour)
        return cls(
            config.pad,
            config.flip,
            config.erase,
            0.0 if known else config.exchange,
            config.border,
            config.erase_area,
            config.erase_aspect,
            config.erase_fill,
            known(config.exchange) if known else None,
        )

    def __post_init__(self) -> None:
        if self.pad < 0:
            raise VireidError(f"pad: expected a number of pixels of at least 0, got {self.pad}")
        for name in ("flip", "erase", "exchange"):
            if not 0 <= getattr(self, name) <= 1:
                raise VireidError(f"{name}: expected a probability from 0 to 1, got {getattr(self, name)}")

    def __call__(self, images: Tensor, generator: torch.Generator, coloured: slice = slice(None)) -> Tensor:
        """(b, 3, h, w) uint8 to float32 of the same shape, on the images' device, in channels-last memory.

        ``generator`` may live on another device; one on the CPU gives the same draws on every device.
        ``coloured`` are the images whose channels may be exchanged.
        """
        batch, _, height, width = images.shape
        draws = self.draw(batch, height, width, generator)
        spared = torch.ones_like(draws.exchange, dtype=torch.bool)
        spared[coloured] = False
        if self.colour:
            images = self.colour.pixels(images, coloured, generator)
        result = self.apply(images, replace(draws, exchange=draws.exchange.masked_fill(spared, -1)))
        return self.colour.values(result, coloured, generator) if self.colour else result

    def draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """Draw for ``batch`` images of (height, width) pixels, on the generator's device."""

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=generator.device)

        top, left = (torch.floor(uniform(2, batch) * (2 * self.pad + 1)).int() - self.pad).unbind()
        mirrored = uniform(batch) < self.flip
        low, high = self.area
        area = (low + (high - low) * uniform(batch, ATTEMPTS)) * (height * width)
        low, high = ERASED_ASPECT[self.aspect]
        aspect = uniform(batch, ATTEMPTS)
        aspect = low + (high - low) * aspect if self.aspect == "uniform" else low * (high / low) ** aspect
        tall, wide = (area * aspect).sqrt().round().int(), (area / aspect).sqrt().round().int()
        fits = (tall < height) & (wide < width)
        first = fits.int().argmax(1, keepdim=True)  # 0 if none fits; erased is False then
        erased = fits.any(1) & (uniform(batch) < self.erase)
        box_height = tall.gather(1, first).squeeze(1) * erased
        box_width = wide.gather(1, first).squeeze(1) * erased
        box_top = torch.floor(uniform(batch) * (height - box_height + 1)).int()
        box_left = torch.floor(uniform(batch) * (width - box_width + 1)).int()
        exchange = torch.full((batch,), -1, device=generator.device)
        if self.exchange > 0:  # last and only if used, so that without it a seed gives the same draws as before
            mix = torch.floor(uniform(batch) * len(EXCHANGES)).long()
            exchange = torch.where(uniform(batch) < self.exchange, mix, exchange)
        return Draws(top, left, mirrored, box_top, box_left, box_height, box_width, exchange)

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """Carry out ``draws`` on (b, 3, h, w) uint8 images and normalise them."""
        batch, _, height, width = images.shape
        device, pad = images.device, self.pad
        draws = Draws(*(value.to(device) for value in vars(draws).values()))
        if self.exchange > 0:
            images = _exchanged(images, draws.exchange)
        y, x = (torch.arange(size, device=device, dtype=torch.int32) for size in (height, width))
        padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, pad, pad, pad, pad), value=self.border)
        rows = y + draws.top[:, None] + pad
        columns = torch.where(draws.mirrored[:, None], width - 1 - x, x) + draws.left[:, None] + pad
        rows += torch.arange(batch, device=device, dtype=torch.int32)[:, None] * padded.shape[1]
        source = (rows * padded.shape[2])[:, :, None] + columns[:, None, :]
        cropped = padded.reshape(-1, 3).index_select(0, source.flatten())
        cropped = cropped.view(batch, height, width, 3).permute(0, 3, 1, 2)
        result = normalise(cropped)
        box_rows = _span(y, draws.box_top, draws.box_height)
        box_columns = _span(x, draws.box_left, draws.box_width).repeat_interleave(3, dim=1)
        erased = box_rows[:, :, None] & box_columns[:, None, :]
        values = result.permute(0, 2, 3, 1).view(batch, height, width * 3)
        if any(self.fill):
            values.copy_(torch.where(erased, torch.tensor(self.fill, device=device).repeat(width), values))
        else:
            values.masked_fill_(erased, 0.0)
        return result


def _exchanged(images: Tensor, exchange: Tensor) -> Tensor:
    """The (b, 3, h, w) uint8 images with the mix of `EXCHANGES` that (b,) ``exchange`` names in all three channels."""
    shares = torch.tensor(EXCHANGES, device=images.device)[exchange.clamp_min(0)]
    mixed = torch.einsum("bchw,bc->bhw", images.float(), shares).round().to(torch.uint8)
    return torch.where((exchange >= 0)[:, None, None, None], mixed[:, None], images)


def _span(position: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """(b, n) bool: start <= position < start + length."""
    return (position >= start[:, None]) & (position < (start + length)[:, None])
