"""Images for reports: checked uint8 arrays, embedded as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from vireid.types import VireidError

Image = npt.NDArray[np.uint8]
"""One picture: shape (height, width, 3), RGB, values 0 to 255."""

_LARGEST_PNG = 24 * 1024
_JPEG_QUALITY = 90


def check_image(image: Image, name: str) -> None:
    """Raise VireidError that names the field ``name`` unless ``image`` is uint8 of shape (height, width, 3)."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise VireidError(
            f"{name}: expected a uint8 image of shape (height, width, 3), got {image.dtype} {image.shape}"
        )


def data_uri(image: Image) -> str:
    """Return ``image`` (uint8, (height, width, 3)) as a ``data:`` URL that any browser shows offline.

    A picture of up to 24 KiB as PNG is stored without loss; a larger one becomes a JPEG, so that a report with
    a hundred photographs stays small enough to mail.

    Raises:
        VireidError: the array is not a uint8 RGB image.
    """
    check_image(image, "image")
    picture = PillowImage.fromarray(np.ascontiguousarray(image))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    kind = "png"
    if buffer.tell() > _LARGEST_PNG:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
