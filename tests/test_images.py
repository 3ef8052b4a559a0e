from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid import images
from vireid.images import read_image, resize
from vireid.types import VireidError

NOISE = np.random.default_rng(0).integers(0, 256, (20, 10, 3), dtype=np.uint8)


def _encoded(mode: str, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def _png_16_bit_colour() -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(24) for _ in range(4)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _tiff_16_bit_colour() -> bytes:
    tags = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14)]
    tags += [(277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, 24)]
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 38) + struct.pack("<3H", 16, 16, 16) + bytes(24) + table


def _grey_16_bit() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(NOISE[:, :, 0].astype(np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _claims(width: int, height: int) -> bytes:
    """A BMP header of a few bytes that claims any size."""
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


HOSTILE = {
    "empty": (b"", "empty"),
    "text": (b"this is no image", "not an image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "jpeg cut": (_encoded("RGB", "JPEG")[:-200], "truncated or damaged"),
    "png cut": (_encoded("RGB", "PNG")[:-200], "truncated or damaged"),
    "bmp cut": (_encoded("RGB", "BMP")[:-200], "truncated or damaged"),
    "webp cut": (_encoded("RGB", "WEBP")[:-40], ""),
    "png with a flipped bit": (_flipped(_encoded("RGB", "PNG")), "truncated or damaged"),
    "cmyk": (_encoded("CMYK", "JPEG"), "mode CMYK (it is CMYK)"),
    "rgba": (_encoded("RGBA", "PNG"), "mode RGBA (it has an alpha channel)"),
    "la": (_encoded("LA", "PNG"), "mode LA (it has an alpha channel)"),
    "palette with transparency": (_encoded("P", "PNG", transparency=0), "mode P (it has an alpha channel)"),
    "colour with a transparent one": (_encoded("RGB", "PNG", transparency=(1, 2, 3)), "alpha"),
    "16-bit grey": (_grey_16_bit(), "more than 8 bits"),
    "16-bit colour png": (_png_16_bit_colour(), "more than 8 bits"),
    "16-bit colour tiff": (_tiff_16_bit_colour(), "more than 8 bits"),
    "float": (_encoded("F", "TIFF"), "more than 8 bits"),
    "bilevel": (_encoded("1", "PNG"), "mode 1"),
    "lab": (_encoded("LAB", "TIFF"), "mode LAB (this mode is not supported)"),
    "large claim": (_claims(9_000, 9_000), "image too large"),
    "huge claim": (_claims(60_000, 60_000), "image too large"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_line_errors_that_name_them(tmp_path: Path, name: str) -> None:
    data, fragment = HOSTILE[name]
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    with pytest.raises(VireidError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert fragment in message
    assert "\n" not in message


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_images_are_read_or_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    path = tmp_path / "image"
    messages = []
    for kind in images.FORMATS:
        good = _encoded("RGB", kind)
        for _ in range(60):
            bad = bytearray(good)
            for position in random.integers(2, len(bad), 6):
                bad[position] = random.integers(256)
            path.write_bytes(bad[: random.integers(len(bad) // 2, len(bad) + 1)])
            try:
                assert read_image(path).ndim == 3
            except VireidError as error:
                messages.append(str(error))
    assert len(messages) > 200
    assert all(message.startswith(f"{path}: ") and "\n" not in message for message in messages)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jpg", tmp_path):
        with pytest.raises(VireidError, match="cannot read this image file"):
            read_image(path)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_come_back_exactly(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(_encoded("RGB", kind))
    result = read_image(path)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, NOISE)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
@pytest.mark.parametrize("mode", ["L", "P"])
def test_grey_and_palette_become_colour(tmp_path: Path, kind: str, mode: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(_encoded(mode, kind))
    expected = np.asarray(Image.fromarray(NOISE).convert(mode).convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)


def test_orientation_is_respected(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the stored image must be rotated by 270 degrees
    path = tmp_path / "image"
    path.write_bytes(_encoded("RGB", "PNG", exif=exif))
    np.testing.assert_array_equal(read_image(path), np.rot90(NOISE, 3))


def test_size_limit_is_inclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image"
    path.write_bytes(_encoded("RGB", "PNG"))
    monkeypatch.setattr(images, "MAX_PIXELS", 200)
    read_image(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 199)
    with pytest.raises(VireidError, match="20 pixels"):
        read_image(path)


def test_resize() -> None:
    assert resize(NOISE, 20, 10) is NOISE
    halved = resize(np.kron(NOISE, np.ones((2, 2, 1), np.uint8)), 20, 10)
    assert halved.shape == (20, 10, 3)
    assert resize(NOISE, 7, 31).shape == (7, 31, 3)
    # antialiasing: a checkerboard reduced by eight is even grey; plain bilinear would pick single squares
    board = np.indices((64, 64)).sum(0)[:, :, None].repeat(3, 2) % 2 * 255
    reduced = resize(board.astype(np.uint8), 8, 8)
    assert reduced.min() > 120
    assert reduced.max() < 135
