"""From the bytes of an image file to what a gallery keeps of it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image

from vireid.deploy.embedder import Embedder
from vireid.images import Pixels, decode_image, resize

THUMBNAIL_HEIGHT = 128


def content_id(data: bytes) -> str:
    """Return the id of an image with this content: SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def prepare(data: bytes, name: str, embedder: Embedder) -> tuple[Pixels, bytes, str]:
    """Decode the bytes of an image file, whoever sent them.

    Args:
        name: what error messages call it.
        embedder: whose input the image is to become.

    Returns:
        The network input, uint8 RGB (height, width, 3); a JPEG `THUMBNAIL_HEIGHT` pixels high; the `content_id`.

    Raises:
        VireidError: not an image, damaged, too large, or of a kind that `decode_image` does not read.
    """
    pixels = decode_image(data, Path(name))
    rows, columns = pixels.shape[:2]
    # No wider than twice its height, whatever the image's shape: a thumbnail has to stay small.
    shape = (min(max(1, round(columns * THUMBNAIL_HEIGHT / rows)), 2 * THUMBNAIL_HEIGHT), THUMBNAIL_HEIGHT)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(shape, Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=85)
    ready = resize(pixels, embedder.height, embedder.width, embedder.resampling)
    return ready, buffer.getvalue(), content_id(data)
