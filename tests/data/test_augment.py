from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.augment import augment_one
from tests.reference.methods import exchanged
from vireid.config import DataConfig
from vireid.data.augment import Augment, normalise
from vireid.data.colour import ChannelExchange
from vireid.types import VireidError


def _images(batch: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 256, (batch, 3, height, width), dtype=np.uint8))


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 4),
    height=st.integers(1, 14),
    width=st.integers(1, 9),
    pad=st.integers(0, 12),
    seed=st.integers(0, 2**31),
    channels_last=st.booleans(),
)
def test_equals_the_naive_augmentation(
    batch: int, height: int, width: int, pad: int, seed: int, channels_last: bool
) -> None:
    images = _images(batch, height, width, seed)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    augment = Augment(pad=pad, flip=0.5, erase=0.7)
    draws = augment.draw(batch, height, width, _generator(seed))
    result = augment.apply(images, draws)
    assert result.dtype == torch.float32
    for i in range(batch):
        box = tuple(int(v[i]) for v in (draws.box_top, draws.box_left, draws.box_height, draws.box_width))
        expected = augment_one(
            images[i].numpy(), int(draws.top[i]), int(draws.left[i]), bool(draws.mirrored[i]), box, pad
        )
        np.testing.assert_allclose(result[i].numpy(), expected, atol=2e-6)


def test_call_is_draw_and_apply_and_repeats_from_the_seed() -> None:
    images = _images(5, 24, 12)
    augment = Augment(pad=3)
    first = augment(images, _generator(7))
    assert torch.equal(first, augment.apply(images, augment.draw(5, 24, 12, _generator(7))))
    assert torch.equal(first, augment(images, _generator(7)))
    assert not torch.equal(first, augment(images, _generator(8)))


def test_nothing_to_do_is_normalise() -> None:
    images = _images(3, 10, 6)
    assert torch.equal(Augment(pad=0, flip=0, erase=0)(images, _generator()), normalise(images))


def test_normalise_gives_known_values() -> None:
    images = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = torch.tensor([-0.485 / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    torch.testing.assert_close(normalise(images).flatten(), expected)


def test_draws_have_the_published_ranges_and_rates() -> None:
    n, height, width = 40_000, 288, 144
    draws = Augment(pad=10, flip=0.3, erase=0.5).draw(n, height, width, _generator())
    for offset in (draws.top, draws.left):
        assert sorted(set(offset.tolist())) == list(range(-10, 11))
        assert offset.float().mean().abs() < 0.15  # 3.7 standard deviations of the mean of 21 equally likely values
    assert abs(draws.mirrored.float().mean() - 0.3) < 0.01
    erased = draws.box_height > 0
    assert torch.equal(erased, draws.box_width > 0)
    assert abs(erased.float().mean() - 0.5) < 0.01
    tall, wide = draws.box_height[erased].double(), draws.box_width[erased].double()
    area, aspect = tall * wide / (height * width), tall / wide
    assert 0.018 < area.min() < 0.025
    assert 0.37 < area.max() < 0.405
    assert 0.29 < aspect.min() < 0.35
    assert 3.2 < aspect.max() < 3.45
    assert (draws.box_top[erased] >= 0).all()
    assert (draws.box_left[erased] >= 0).all()
    assert (draws.box_top + draws.box_height).max() == height
    assert (draws.box_left + draws.box_width).max() == width


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (40, 3), (3, 40), (96, 48)])
def test_boxes_lie_within_the_image(height: int, width: int) -> None:
    draws = Augment(erase=1.0).draw(2000, height, width, _generator())
    assert (draws.box_top >= 0).all()
    assert (draws.box_left >= 0).all()
    assert (draws.box_top + draws.box_height <= height).all()
    assert (draws.box_left + draws.box_width <= width).all()
    assert bool((draws.box_height > 0).any()) == (height * width > 1)


def test_draws_differ_between_images() -> None:
    draws = Augment(erase=1.0).draw(64, 96, 48, _generator())
    assert len({tuple(int(v[i]) for v in vars(draws).values()) for i in range(64)}) == 64


@pytest.mark.parametrize(
    ("field", "value"), [("pad", -1), ("flip", 1.5), ("erase", -0.1), ("flip", float("nan")), ("exchange", 2)]
)
def test_bad_settings_name_the_field(field: str, value: float) -> None:
    with pytest.raises(VireidError, match=f"^{field}: expected"):
        Augment(**{field: value})


@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 6), seed=st.integers(0, 2**31), first=st.integers(0, 6))
def test_exchanged_channels_equal_the_naive_exchange(batch: int, seed: int, first: int) -> None:
    images = _images(batch, 5, 4, seed)
    augment = Augment(pad=0, flip=0, erase=0, exchange=0.8)
    draws = augment.draw(batch, 5, 4, _generator(seed))
    result = augment(images, _generator(seed), slice(first, batch))
    for i in range(batch):
        expected = exchanged(images[i].numpy(), int(draws.exchange[i]) if i >= first else -1)
        np.testing.assert_allclose(
            result[i].numpy(), augment_one(expected, 0, 0, False, (0, 0, 0, 0), 0), atol=0.02
        )  # 0.02: one grey level, where half a level is rounded


def test_exchanges_have_the_rate_asked_for_and_change_no_other_draw() -> None:
    draws = Augment(exchange=0.6).draw(40_000, 96, 48, _generator())
    shares = [(draws.exchange == i).float().mean().item() for i in range(-1, 4)]
    assert shares == pytest.approx([0.4, 0.15, 0.15, 0.15, 0.15], abs=0.01)
    plain = Augment().draw(40_000, 96, 48, _generator())
    assert all(torch.equal(a, b) for name, a in vars(plain).items() if name != "exchange" for b in [vars(draws)[name]])


def test_the_box_and_the_border_have_the_colours_asked_for() -> None:
    images = _images(200, 20, 12)
    augment = Augment(pad=3, flip=0, erase=1, border=127, fill=(0.5, -1.0, 2.0))
    draws = augment.draw(200, 20, 12, _generator())
    result = augment.apply(images, draws)
    grey = normalise(torch.full((1, 3, 1, 1), 127, dtype=torch.uint8))[0]
    for i in (int(draws.top.argmin()), int(draws.top.argmax())):
        top, left, tall, wide = (int(v[i]) for v in (draws.box_top, draws.box_left, draws.box_height, draws.box_width))
        box = result[i, :, top : top + tall, left : left + wide]
        torch.testing.assert_close(box, torch.tensor([0.5, -1.0, 2.0])[:, None, None].expand_as(box))
        outside = result[i].clone()
        outside[:, top : top + tall, left : left + wide] = grey
        edge = outside[:, :3] if draws.top[i] < 0 else outside[:, -3:]
        torch.testing.assert_close(edge, grey.expand_as(edge))


@pytest.mark.parametrize(("aspect", "middle"), [("uniform", (0.3 + 1 / 0.3) / 2), ("log-uniform", (0.3 * 3.3) ** 0.5)])
def test_erased_boxes_have_the_area_and_aspect_asked_for(aspect: Any, middle: float) -> None:
    draws = Augment(erase=1.0, area=(0.02, 0.1), aspect=aspect).draw(20_000, 400, 400, _generator())
    tall, wide = draws.box_height.double(), draws.box_width.double()
    area = tall * wide / 400**2
    assert (area.min().item(), area.mean().item(), area.max().item()) == pytest.approx((0.02, 0.06, 0.1), abs=0.001)
    assert (tall / wide).median().item() == pytest.approx(middle, rel=0.02)


def test_a_recipe_with_a_published_colour_has_no_exchange_beside_it() -> None:
    plain, caj = (Augment.of(DataConfig(exchange=0.4, colour=colour)) for colour in ("exchange", "caj"))  # type: ignore[arg-type]
    assert (plain.exchange, plain.colour) == (0.4, None)
    assert (caj.exchange, caj.colour) == (0.0, ChannelExchange(0.4))
