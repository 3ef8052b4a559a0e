"""How training takes colour from images, by the name of the published code that does it; `Augment` runs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

_LUMA = (0.2989, 0.5870, 0.1140)
_PILLOW_LUMA = (19595, 38470, 7471)
"""Shares of red, green and blue in Pillow's grey, in 65536ths (ITU-R BT.601)."""

HUE = 0.2
CUT_AREA = (0.02, 0.33)
CUT_ASPECT = (0.3, 3.3)


@dataclass(frozen=True)
class Colour:
    """Changes the colour of some images of a batch; the base changes nothing.

    Args:
        probability: that an image is changed.
    """

    probability: float

    name: ClassVar[str] = "none"

    def pixels(self, images: Tensor, coloured: slice, generator: torch.Generator) -> Tensor:
        """Change the (b, 3, h, w) uint8 images before they are cropped.

        ``coloured`` are the visible images that may change; those behind it are infrared.
        """
        return images

    def values(self, images: Tensor, coloured: slice, generator: torch.Generator) -> Tensor:
        """Change the (b, 3, h, w) normalised images after they were cropped and erased."""
        return images


class ChannelExchange(Colour):
    """CAJ's code (Ye et al., ICCV 2021): after normalisation, so that a channel keeps its own mean and deviation.

    A visible image shows one of its channels in all three, equally likely, with the given probability. An infrared one
    shows in a quarter of the cases its first, second or third channel, in an eighth the grey of all, and else itself.
    """

    name = "caj"

    def values(self, images: Tensor, coloured: slice, generator: torch.Generator) -> Tensor:
        batch = len(images)
        start, stop, _ = coloured.indices(batch)
        visible = torch.floor(_uniform(generator, batch) * 3).long()
        infrared = torch.floor(_uniform(generator, batch) * 4).long()
        change = _uniform(generator, batch)
        row = torch.arange(batch, device=generator.device)
        choice = torch.where(row < stop, visible, infrared)
        changed = torch.where(row < stop, (row >= start) & (change < self.probability), (infrared < 3) | (change < 0.5))
        shares = torch.cat([torch.eye(3), torch.tensor([_LUMA])]).to(images.device)[choice.to(images.device)]
        mixed = torch.einsum("bchw,bc->bhw", images, shares)[:, None]
        return torch.where(changed.to(images.device)[:, None, None, None], mixed, images)


class RandomGrey(Colour):
    """DEEN's code (Zhang & Wang, CVPR 2023): an image of either modality is shown in Pillow's grey."""

    name = "deen"

    def pixels(self, images: Tensor, coloured: slice, generator: torch.Generator) -> Tensor:
        shares = torch.tensor(_PILLOW_LUMA, dtype=torch.int32, device=images.device)[:, None, None]
        grey = (((images.int() * shares).sum(1, keepdim=True) + 0x8000) >> 16).to(torch.uint8)
        changed = (_uniform(generator, len(images)) < self.probability).to(images.device)
        return torch.where(changed[:, None, None, None], grey, images)


class ModalityCoordinator(Colour):
    """MCJA's code (Liang et al., TCSVT 2024): one of four changes of a visible image, each equally likely.

    - hue: turned by up to a fifth of the circle either way;
    - weighted grey: shares of red, green and blue drawn uniformly, then scaled to a sum of 1;
    - channel cut-mix: one channel in all three, a box of it (2 to 33 % of the area, aspect from 0.3 to 3.3) from
    another;
    - spectrum jitter: the image mixed with one of its channels, in a share drawn uniformly.

    The code swaps height and width where it places the box; so does this: what lies outside the image is cut off.
    """

    name = "mcja"

    def pixels(self, images: Tensor, coloured: slice, generator: torch.Generator) -> Tensor:
        chosen = images[coloured]
        if not len(chosen):
            return images
        batch = len(chosen)
        which = torch.floor(_uniform(generator, batch) * 4).long()
        which = torch.where(_uniform(generator, batch) < self.probability, which, 4).to(images.device)
        shift, factor = _uniform(generator, 2, batch).to(images.device)[:, :, None, None, None]
        shares = _uniform(generator, batch, 3).to(images.device)
        first, second = _uniform(generator, batch, 3).argsort(1)[:, :2].T.to(images.device)
        box = _cut_boxes(batch, chosen.shape[2], chosen.shape[3], generator).to(images.device)
        values = chosen.float()
        channel, other = (values[torch.arange(batch, device=images.device), c][:, None] for c in (first, second))
        variants = torch.stack(
            [
                turned(values, HUE * (2 * shift - 1)),
                torch.einsum("bchw,bc->bhw", values, shares / shares.sum(1, keepdim=True))[:, None].expand_as(values),
                torch.where(box[:, None], other, channel).expand_as(values),
                channel + factor * (values - channel),
                values,
            ]
        )
        result = images.clone()
        # float32 sums of whole numbers may fall a hair below them, and what follows cuts off decimals
        result[coloured] = (variants[which, torch.arange(batch, device=images.device)] + 1e-3).to(torch.uint8)
        return result


def turned(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of (b, 3, h, w) values in 0..255 by ``turn`` (b, 1, 1, 1) of the circle; HSV's other two stay."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    chroma = value - least
    safe = chroma.clamp_min(1e-9)
    hue = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = (hue + 6 * turn[:, 0]) % 6
    # hue 0 is red: each channel is the value less the chroma times its distance from its own sector
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device)[:, None, None]
    k = (offsets + hue[:, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def _cut_boxes(batch: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """(b, height, width) bool: the boxes of channel cut-mix, drawn at most ten times until they fit."""
    attempts = 10
    area = (CUT_AREA[0] + (CUT_AREA[1] - CUT_AREA[0]) * _uniform(generator, batch, attempts)) * height * width
    low, high = (math.log(x) for x in CUT_ASPECT)
    aspect = torch.exp(low + (high - low) * _uniform(generator, batch, attempts))
    tall, wide = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (tall < width) & (wide < height)
    first = fits.int().argmax(1, keepdim=True)
    tall, wide = (size.gather(1, first).squeeze(1) * fits.any(1) for size in (tall, wide))
    top = torch.floor(_uniform(generator, batch) * (width - tall + 1))
    left = torch.floor(_uniform(generator, batch) * (height - wide + 1))
    row, column = (torch.arange(n, device=generator.device)[None] for n in (height, width))
    rows = (row >= top[:, None]) & (row < (top + tall)[:, None])
    columns = (column >= left[:, None]) & (column < (left + wide)[:, None])
    return rows[:, :, None] & columns[:, None, :]


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device)


COLOURS = {colour.name: colour for colour in (ChannelExchange, RandomGrey, ModalityCoordinator)}
