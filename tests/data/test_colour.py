"""The published codes' ways of taking colour: each result is one of the naive outcomes, at the published rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.reference import augment as reference
from vireid.data.augment import Augment
from vireid.data.colour import ChannelExchange, Colour, ModalityCoordinator, RandomGrey, turned


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outcomes(results: torch.Tensor, naive: list[np.ndarray]) -> list[float]:
    """Share of the results (n, ...) that equal each of the naive ones; every result has to be one of them."""
    found = np.array([[np.allclose(x, y, atol=1e-5) for y in naive] for x in results.numpy()])
    assert found.sum(1).tolist() == [1] * len(results)
    return [float(share) for share in found.mean(0)]


def test_caj_exchanges_normalised_channels_without_grey_for_visible_images() -> None:
    image = torch.randn(3, 4, 2, generator=generator())
    naive = [reference.channel_of(image.double().numpy(), choice) for choice in range(-1, 4)]
    batch = image[None].repeat(3000, 1, 1, 1)
    result = ChannelExchange(1.0).values(batch, slice(500, 2000), generator(1))
    assert outcomes(result[:500], naive) == [1, 0, 0, 0, 0]  # the first showing of a visible image
    assert outcomes(result[500:2000], naive) == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0], abs=0.04)
    assert outcomes(result[2000:], naive) == pytest.approx([1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8], abs=0.04)
    half = ChannelExchange(0.5).values(batch, slice(0, 3000), generator(2))
    assert outcomes(half, naive) == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6, 0], abs=0.04)


def test_caj_changes_the_infrared_image_that_has_three_equal_channels() -> None:
    """After normalisation the channels of a grey image differ, so that showing one of them changes its contrast."""
    grey = torch.arange(8, dtype=torch.uint8).view(1, 1, 4, 2).expand(64, 3, 4, 2).contiguous() * 30
    changed = Augment(0, 0, 0, colour=ChannelExchange(1.0))(grey, generator(), slice(0, 0))
    plain = Augment(0, 0, 0)(grey, generator(), slice(0, 0))
    different = (changed != plain).flatten(1).any(1).float().mean().item()
    assert different == pytest.approx(7 / 8, abs=0.15)


def test_deen_shows_pillows_grey_in_both_modalities() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    grey = np.stack([np.asarray(Image.fromarray(pixels).convert("L"))] * 3)
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].repeat(2000, 1, 1, 1)
    result = RandomGrey(0.3).pixels(batch, slice(0, 1000), generator())
    for side in (result[:1000], result[1000:]):
        assert outcomes(side, [batch[0].numpy(), grey]) == pytest.approx([0.7, 0.3], abs=0.05)


@pytest.mark.parametrize("turn", [-0.2, -0.05, 0.0, 0.13, 0.2])
def test_hues_turn_as_in_the_standard_library(turn: float) -> None:
    random = np.random.default_rng(0)
    colours = np.concatenate([random.integers(0, 256, (200, 3)), [[0, 0, 0], [255, 255, 255], [9, 9, 9], [255, 0, 0]]])
    values = torch.from_numpy(colours).float().T[None, :, :, None]
    result = turned(values, torch.full((1, 1, 1, 1), turn))[0, :, :, 0].T
    np.testing.assert_allclose(result.numpy(), [reference.turned(tuple(c), turn) for c in colours], atol=1e-3)


def test_mcja_changes_visible_images_in_one_of_four_ways() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (3, 12, 6), dtype=np.uint8)
    batch = torch.from_numpy(pixels)[None].repeat(4000, 1, 1, 1)
    result = ModalityCoordinator(0.5).pixels(batch, slice(0, 3000), generator(1))
    assert torch.equal(result[3000:], batch[3000:])
    same, grey, cut, mixed, hue = 0, 0, 0, 0, 0
    for image in result[:3000].numpy():
        if (image == pixels).all():
            same += 1
        elif (image == image[:1]).all():
            channels = (image[:1] == pixels).reshape(3, -1)
            if (channels.sum(1).max() >= 48) or (channels.any(0).all() and channels.sum(1).min() > 0):
                cut += 1  # all of it from one channel or two
            else:
                grey += 1
        elif any(_mixed(image, pixels, c) for c in range(3)):
            mixed += 1
        else:  # HSV's value and saturation stay
            assert abs(image.max(0).astype(int) - pixels.max(0)).max() <= 1
            assert abs(image.min(0).astype(int) - pixels.min(0)).max() <= 1
            hue += 1
    assert [x / 3000 for x in (same, grey, cut, mixed, hue)] == pytest.approx([0.5] + [0.125] * 4, abs=0.03)


def _mixed(image: np.ndarray, pixels: np.ndarray, channel: int) -> bool:
    """Whether one share of the image mixed with its channel gives ``image`` to a level; that channel is as it was."""
    base, values = pixels[channel].astype(float), pixels.astype(float)
    away = values - base
    share = ((image - base) * away).sum() / (away**2).sum()
    return bool(abs(base + share * away - image).max() <= 1.5 and (image[channel] == pixels[channel]).all())


def test_a_batch_without_visible_images_to_change_is_left_alone() -> None:
    batch = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    assert ModalityCoordinator(1.0).pixels(batch, slice(0, 0), generator()) is batch
    assert Colour(1.0).pixels(batch, slice(0, 2), generator()) is batch
