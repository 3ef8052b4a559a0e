"""Augmentation one image and one pixel at a time, as the definition reads."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def augment_one(
    image: npt.NDArray[np.uint8],
    top: int,
    left: int,
    mirrored: bool,
    box: tuple[int, int, int, int],
    pad: int,
) -> npt.NDArray[np.float64]:
    """(3, h, w) uint8: pad with black, crop, mirror, fill the box with the mean colour, normalise."""
    _, height, width = image.shape
    padded = np.zeros((3, height + 2 * pad, width + 2 * pad))
    padded[:, pad : pad + height, pad : pad + width] = image / 255
    crop = padded[:, pad + top : pad + top + height, pad + left : pad + left + width]
    if mirrored:
        crop = crop[:, :, ::-1]
    result = np.empty((3, height, width))
    box_top, box_left, box_height, box_width = box
    for y in range(height):
        for x in range(width):
            inside = box_top <= y < box_top + box_height and box_left <= x < box_left + box_width
            for channel in range(3):
                value = MEAN[channel] if inside else crop[channel, y, x]
                result[channel, y, x] = (value - MEAN[channel]) / STD[channel]
    return result


def channel_of(image: npt.NDArray[np.float64], choice: int) -> npt.NDArray[np.float64]:
    """CAJ's code on one normalised image: channel 0, 1, 2 or the grey of all (3) in every channel; -1: as it is."""
    if choice < 0:
        return image
    grey = 0.2989 * image[0] + 0.5870 * image[1] + 0.1140 * image[2]
    return np.stack([(*image, grey)[choice]] * 3)


def turned(pixel: tuple[float, float, float], turn: float) -> tuple[float, ...]:
    """One colour (0-255) with its hue turned by a share of the circle."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(x / 255 for x in pixel))
    return tuple(255 * x for x in colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))
