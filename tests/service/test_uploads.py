"""Broken and hostile uploads: a fitting status, one line that names the image, and nothing on the disk."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.gallery.fakes import FakeEmbedder, MemoryGallery
from tests.service.people import picture
from tests.service.requests import files, one_line, search
from vireid.service.app import ServiceSettings, create_app
from vireid.service.limits import Limits, safe_name


def bomb(side: int = 30_000) -> bytes:
    """Return a PNG of side x side pixels in a few hundred bytes, its data cut short."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


SIXTEEN = saved(Image.fromarray(np.zeros((8, 8), np.uint16)), "PNG")
CASES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 415, "empty"),
    "text called .jpg": (b"this is no picture", 415, "not an image"),
    "html": (b"<html><script>alert(1)</script>", 415, "not an image"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "not an image"),
    "eps, which runs a program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not an image"),
    "truncated": (picture(1, "JPEG", (400, 200))[:1500], 422, "truncated"),
    "bomb": (bomb(), 413, "pixels"),
    "smaller bomb": (bomb(5000), 413, "pixels"),
    "within the limit but without data": (bomb(2000), 422, "truncated"),
    "CMYK": (saved(Image.new("CMYK", (48, 96)), "JPEG"), 422, "CMYK"),
    "16-bit": (SIXTEEN, 422, "more than 8 bits"),
    "alpha": (saved(Image.new("RGBA", (48, 96)), "PNG"), 422, "alpha"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_image_has_its_status_and_line(client: TestClient, case: str) -> None:
    content, status, word = CASES[case]
    response = client.post(
        "/api/v1/search", files=files(content, name="a.jpg"), data={"query": '{"modality": "visible"}'}
    )
    message = one_line(response, status)
    assert message.startswith("a.jpg: ")
    assert word in message
    about = {"about": '{"modality": "visible"}'}
    added = client.post("/api/v1/images", files=files(content, picture(60), name="a.jpg"), data=about).json()
    assert (added["added"], added["failed"]) == (1, [{"name": "a.jpg", "error": message}])


@pytest.mark.parametrize("kind", ["GIF", "BMP", "JPEG", "PNG", "TIFF", "WEBP"])
def test_the_content_decides_the_type_whatever_the_name_says(client: TestClient, kind: str) -> None:
    content = picture(3, kind)
    named = client.post("/api/v1/search", files=files(content, name="x.exe"), data={"query": '{"modality": "visible"}'})
    assert named.status_code == 200, named.text


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/shadow", "C:\\Windows\\x.png", "a\r\nb.png", "..", "x" * 999]
)
def test_a_name_is_shown_and_never_a_path(client: TestClient, memory: MemoryGallery, name: str) -> None:
    sent = files(picture(70), name=name)
    answer = client.post("/api/v1/images", files=sent, data={"about": '{"modality": "visible"}'}).json()
    assert answer["added"] == 1
    stored = next(entry.name for entry in memory.entries() if entry.id == answer["ids"][0])
    assert not set("/\\\r\n") & set(stored)
    assert 0 < len(stored) <= 200
    assert stored != ".."


def test_names_are_cut_to_their_last_part() -> None:
    assert safe_name("\u202eexe.jpg\x07") == "exe.jpg"
    assert safe_name("") == safe_name("...") == safe_name("a/").replace("a", "unnamed") == "unnamed"


@pytest.fixture
def small(memory: MemoryGallery, model: FakeEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    limits = Limits(upload=100_000, images=3)
    app = create_app(memory, model, ServiceSettings(tmp_path, "s", limits=limits))
    with TestClient(app, headers={"Authorization": "Bearer s"}) as client:
        yield client


def test_too_large_a_body_is_refused_told_or_not(small: TestClient) -> None:
    told = small.post("/api/v1/search", content=b"x" * 100_001, headers={"Content-Type": "application/json"})
    assert "larger than 100000 bytes" in one_line(told, 413)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 10_000
            yield b"y" * 10_000

    untold = small.post("/api/v1/search", content=endless(), headers={"Content-Type": "application/json"})
    assert "larger than 100000 bytes" in one_line(untold, 413)
    form = small.post("/api/v1/images", files=files(bytes(200_000)), data={"about": "{}"})
    assert "larger" in one_line(form, 413)


def test_too_many_images_and_unknown_fields_are_refused(small: TestClient) -> None:
    assert "at most 3" in one_line(search(small, *[picture(0)] * 4), 400)
    query = {"query": '{"modality": "visible"}'}
    other = small.post("/api/v1/search", files=[("picture", ("a.png", picture(0)))], data=query)
    assert "'picture'" in one_line(other, 422)
    text = small.post("/api/v1/search", files=files(picture(0)), data={"quarry": "{}"})
    assert "'quarry'" in one_line(text, 422)
    swapped = small.post("/api/v1/search", files=[("query", ("q.json", b"{}"))])
    assert "'query'" in one_line(swapped, 422)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "multipart/form-data", 400),
        (b"junk", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x", 400),
        (
            b"--x\r\nContent-Disposition: form-data; name=images; filename=a\r\n\r\nabc",
            "multipart/form-data; boundary=x",
            422,
        ),
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"top": "' + b"9" * 5000 + b'"}', "application/json", 422),
        (b"[" * 50_000, "application/json", 422),
        (b'{"examples": ["\\ud800"]}', "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
    ],
)
def test_a_malformed_body_is_one_line(small: TestClient, content: bytes, kind: str, status: int) -> None:
    response = small.post("/api/v1/search", content=content, headers={"Content-Type": kind})
    one_line(response, status)
    form = small.post("/api/v1/images", content=content, headers={"Content-Type": kind} if kind else {})
    one_line(form, status if kind.startswith("multipart") else 415)


def test_an_upload_never_touches_the_disk(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # what a spooled file becomes when it grows
    noise = np.random.default_rng(0).integers(0, 256, (1200, 600, 3), np.uint8)
    content = saved(Image.fromarray(noise), "PNG")
    assert len(content) > 2**20
    response = client.post("/api/v1/search", files=files(content), data={"query": json.dumps({"modality": "visible"})})
    assert response.status_code == 200, response.text
