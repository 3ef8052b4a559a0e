from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from vireid.figures.images import data_uri
from vireid.types import VireidError


def decoded(uri: str, kind: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body, validate=True))))


@pytest.mark.parametrize("shape", [(1, 1, 3), (64, 32, 3), (32, 64, 3)])
def test_small_image_is_kept_without_loss(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(decoded(data_uri(image), "png"), image)


def test_view_with_negative_strides_is_kept() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 10, 3), dtype=np.uint8)[:, ::-1]
    assert np.array_equal(decoded(data_uri(image), "png"), image)


def test_large_photograph_becomes_a_smaller_jpeg_that_looks_the_same() -> None:
    rows, columns = np.mgrid[0:288, 0:144]
    smooth = np.stack([rows % 256, columns, 255 - columns], axis=2)
    image = np.clip(smooth + np.random.default_rng(0).normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    uri = data_uri(image)
    assert len(uri) < image.size / 3
    difference = decoded(uri, "jpeg").astype(float) - image
    assert np.abs(difference[40:240]).mean() < 5  # away from the jump where the rows wrap around


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(VireidError, match="expected a uint8 image of shape"):
        data_uri(image)
