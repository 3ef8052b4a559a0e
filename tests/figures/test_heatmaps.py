from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.weakening import response
from vireid.figures.heatmaps import HeatmapRow, colour_table, overlay, response_map
from vireid.types import VireidError


def naive_map(feature_map: np.ndarray) -> np.ndarray:
    """Eq. 1 and the scaling, image by image."""
    maps = []
    for features in feature_map:
        f = response(features)
        low, high = f.min(), f.max()
        maps.append((f - low) / (high - low) if high > low else np.zeros_like(f))
    return np.stack(maps)


def naive_overlay(image: np.ndarray, values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Bilinear sampling at pixel centres, then the blend, pixel by pixel."""
    height, width = image.shape[:2]
    h, w = values.shape
    result = np.empty(image.shape)
    for y, x in np.ndindex(height, width):
        v = min(max((y + 0.5) * h / height - 0.5, 0), h - 1)
        u = min(max((x + 0.5) * w / width - 0.5, 0), w - 1)
        top, left = int(v), int(u)
        bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
        upper = values[top, left] * (1 - (u - left)) + values[top, right] * (u - left)
        lower = values[bottom, left] * (1 - (u - left)) + values[bottom, right] * (u - left)
        level = round(255 * (upper * (1 - (v - top)) + lower * (v - top)))
        red, green, blue = image[y, x].tolist()
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        result[y, x] = 0.4 * grey + 0.6 * table[level].astype(float)
    return result


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**31))
def test_response_map_equals_the_loop(n: int, channels: int, h: int, w: int, seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(n, channels, h, w)) * 10
    maps = response_map(torch.from_numpy(features))
    assert maps.dtype == torch.float32
    assert np.allclose(maps.numpy(), naive_map(features), atol=1e-4)
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_response_map_scales_every_image_by_itself_and_constant_ones_to_zero() -> None:
    features = torch.rand(1, 4, 5, 3)
    both = response_map(torch.cat([features, 1000 * features, torch.full_like(features, 7)]))
    assert torch.allclose(both[0], both[1], atol=1e-5)
    assert both[0].max() == 1
    assert both[2].eq(0).all()


def test_response_map_takes_half_precision_and_keeps_no_graph() -> None:
    maps = response_map(torch.rand(2, 8, 4, 4, dtype=torch.bfloat16, requires_grad=True))
    assert maps.dtype == torch.float32
    assert not maps.requires_grad


@pytest.mark.parametrize("shape", [(8, 4, 4), (1, 0, 4, 4), (1, 8, 0, 4)])
def test_response_map_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(VireidError, match="feature map: expected shape"):
        response_map(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_response_map_refuses_values_that_are_not_finite(value: float) -> None:
    features = torch.zeros(1, 2, 3, 3)
    features[0, 1, 2, 2] = value
    with pytest.raises(VireidError, match="finite"):
        response_map(features)


@pytest.mark.parametrize(("size", "grid"), [((12, 6), (3, 2)), ((9, 7), (4, 3)), ((4, 4), (1, 1)), ((3, 2), (6, 4))])
def test_overlay_equals_the_loop(size: tuple[int, int], grid: tuple[int, int]) -> None:
    pytest.importorskip("matplotlib")
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (3, *size, 3), dtype=np.uint8)
    maps = generator.random((3, *grid), dtype=np.float32)
    result = overlay(images, torch.from_numpy(maps))
    assert result.dtype == np.uint8
    table = colour_table()
    steps = np.abs(np.diff(table.astype(int), axis=0)).max()  # a level next to the boundary may round either way
    for made, image, values in zip(result, images, maps, strict=True):
        assert np.abs(made - naive_overlay(image, values, table)).max() <= 0.6 * steps + 0.51


def test_overlay_of_nothing_and_no_response() -> None:
    pytest.importorskip("matplotlib")
    assert overlay(np.zeros((0, 4, 2, 3), np.uint8), torch.zeros(0, 2, 1)).shape == (0, 4, 2, 3)
    black = overlay(np.zeros((1, 4, 2, 3), np.uint8), torch.zeros(1, 2, 1))
    assert black.max() <= 4


def test_overlay_refuses_what_does_not_go_together() -> None:
    with pytest.raises(VireidError, match="images: expected uint8"):
        overlay(np.zeros((1, 4, 2, 3)), torch.zeros(1, 2, 1))
    with pytest.raises(VireidError, match=r"maps: expected shape \(1, h, w\)"):
        overlay(np.zeros((1, 4, 2, 3), np.uint8), torch.zeros(2, 2, 1))


def test_colours_get_lighter_with_the_response() -> None:
    pytest.importorskip("matplotlib")
    table = colour_table()
    assert (table.shape, table.dtype) == ((256, 3), np.uint8)
    lightness = table @ np.array([0.2126, 0.7152, 0.0722])
    assert np.diff(lightness[::8]).min() > 0


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(VireidError, match=r"pip install 'vireid\[report\]'"):
        colour_table()


def test_row_names_the_picture_that_is_wrong() -> None:
    good = np.zeros((4, 2, 3), np.uint8)
    with pytest.raises(VireidError, match="heat maps of 'row', layer4"):
        HeatmapRow("row", good, {"layer2": good, "layer4": good[..., 0]})
