"""Read image files into arrays with Pillow. Any flaw in a file is a one-line error that names it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from vireid.types import VireidError

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 2**26
"""Larger images are refused before they are decoded, because a small file can claim any size."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Accepted formats. Pillow reads others, some of which run external programs (EPS)."""

_ADVICE = {
    "CMYK": "it is CMYK",
    "alpha": "it has an alpha channel",
    "16-bit": "it has more than 8 bits per channel",
    "other": "this mode is not supported",
}


def read_image(path: Path) -> Pixels:
    """Read one image file.

    Returns uint8 RGB of shape (height, width, 3), turned upright by its EXIF orientation. 8-bit greyscale and
    palette images are converted. Raises `VireidError` that names the file if it is missing, empty, truncated,
    not an image, larger than `MAX_PIXELS`, or CMYK, 16-bit or with an alpha channel: converting those loses
    or invents values, so the user has to choose how.
    """
    return decode_image(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file; raise `VireidError` that names it if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise VireidError(f"{path}: cannot read this image file: {error.strerror}") from error


def decode_image(data: bytes, path: Path) -> Pixels:
    """Decode bytes that were already read, as `read_image` does; ``path`` is for error messages."""
    if not data:
        raise VireidError(f"{path}: the image file is empty (0 bytes); restore it from the data set")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _require_plain(image, path)
            upright = ImageOps.exif_transpose(image)
            return np.asarray(upright.convert("RGB"))
    except VireidError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise VireidError(f"{path}: image too large ({error}); expected at most {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise VireidError(f"{path}: not an image; expected one of {', '.join(FORMATS)}") from error
    except Exception as error:  # on damaged files the decoders raise a dozen types, all undocumented
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VireidError(f"{path}: truncated or damaged image ({reason}); restore it from the data set") from error


def _require_plain(image: ImageFile.ImageFile, path: Path) -> None:
    """Refuse, before decoding, images that `read_image` does not convert."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError(f"{width} x {height} pixels")
    # Pillow silently reduces 16-bit colour to mode RGB; only the raw mode of its tiles reveals it
    if image.mode.startswith("I") or image.mode == "F" or any(";16" in repr(tile) for tile in image.tile):
        kind = "16-bit"
    elif "A" in image.mode.upper().replace("LAB", "") or "transparency" in image.info:
        kind = "alpha"
    elif image.mode == "CMYK":
        kind = "CMYK"
    elif image.mode not in ("RGB", "L", "P"):
        kind = "other"
    else:
        return
    raise VireidError(
        f"{path}: expected 8-bit RGB or greyscale, got mode {image.mode} ({_ADVICE[kind]}); convert it first"
    )


def resize(image: Pixels, height: int, width: int, resampling: str = "bilinear") -> Pixels:
    """Resize (h, w, 3) uint8 to (height, width, 3), without keeping the aspect ratio, as re-identification
    does.

    ``resampling``: Pillow's "bilinear" filter or its "lanczos" (which Pillow once called ANTIALIAS). The support of
    both grows with the reduction; torch's bilinear interpolation without ``antialias=True`` gives other values.
    """
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling[resampling.upper()]))
