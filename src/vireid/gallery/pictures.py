"""Image files: finding them, reading them safely, and preparing what a gallery keeps of them."""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from vireid.deploy.embedder import Embedder
from vireid.images import Pixels, decode_image, resize
from vireid.layouts.listing import image_files, subfolders
from vireid.types import VireidError

THUMBNAIL_HEIGHT = 128
MAX_BYTES = 2**28
"""Larger files are refused before they are read."""


def content_id(data: bytes) -> str:
    """Return the id of an image with this content: SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def prepare(data: bytes, name: str, embedder: Embedder) -> tuple[Pixels, bytes, str]:
    """Decode the bytes of an image file, which may come from anybody.

    Args:
        name: the name used in error messages.
        embedder: the image is to become its input.

    Returns:
        The network input, uint8 RGB (height, width, 3); a JPEG `THUMBNAIL_HEIGHT` pixels high; the `content_id`.

    Raises:
        VireidError: not an image, damaged, too large, or of a kind that `decode_image` does not read.
    """
    pixels = decode_image(data, Path(name))
    rows, columns = pixels.shape[:2]
    # At most twice as wide as high, whatever the shape of the image: a thumbnail has to stay small.
    shape = (min(max(1, round(columns * THUMBNAIL_HEIGHT / rows)), 2 * THUMBNAIL_HEIGHT), THUMBNAIL_HEIGHT)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(shape, Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=85)
    ready = resize(pixels, embedder.height, embedder.width, embedder.resampling)
    return ready, buffer.getvalue(), content_id(data)


def find_files(text: str) -> list[Path]:
    """Return the files that one argument names, sorted within each folder.

    Raises:
        VireidError: it names no file.
    """
    path = Path(text or "\0")  # an empty argument is not a folder
    if path.is_dir():
        found = list(_below(path))
    elif path.exists():
        found = [path]
    else:
        try:
            matched = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
        except (ValueError, NotImplementedError):  # not a pattern either
            matched = []
        found = [file for match in matched for file in (_below(match) if match.is_dir() else (match,))]
    if not found:
        raise VireidError(f"{text}: no image found; expected an image file, a folder or a pattern such as 'day/*.jpg'")
    return found


def _below(folder: Path) -> Iterator[Path]:
    yield from image_files(folder)
    for inner in subfolders(folder):
        if not inner.is_symlink():  # which may lead back up
            yield from _below(inner)


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file of at most `MAX_BYTES`; a pipe or device could block for ever."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise VireidError(f"{path}: not a regular file; expected an image file")
        if status.st_size > MAX_BYTES:
            raise VireidError(f"{path}: {status.st_size} bytes; expected an image file of at most {MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise VireidError(f"{path}: cannot read this image file: {error.strerror or error}") from error
