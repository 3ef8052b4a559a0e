"""Rendered people for the page's tests and its screenshot: a small gallery, and pictures to search it with."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache

import numpy as np
from PIL import Image

from vireid.synthetic import Spectrum, render, sample_camera, sample_identity, sample_view

START = datetime(2026, 3, 14, 16, 5, tzinfo=timezone.utc)
CAMERAS = {"gate": Spectrum.VISIBLE, "hall": Spectrum.VISIBLE, "yard": Spectrum.NEAR, "lane": Spectrum.NEAR}


@dataclass(frozen=True)
class Picture:
    """A JPEG of a person, and what the gallery knows of it."""

    name: str
    data: bytes
    person: int
    modality: str
    camera: str
    time: str
    track: str


def gallery(people: int, images: int = 1, height: int = 64) -> list[Picture]:
    """Render ``images`` pictures of every person before every camera, the cameras in the order of `CAMERAS`."""
    return [
        picture
        for camera in CAMERAS
        for image in range(images)
        for picture in before(camera, range(people), image, height)
    ]


def before(camera: str, people: Sequence[int], image: int, height: int = 64) -> list[Picture]:
    """Render picture ``image`` of each of these people before one camera."""
    number = list(CAMERAS).index(camera)
    spectrum = CAMERAS[camera]
    who = [sample_identity(3, person, 0.1) for person in people]
    views = [sample_view(3, person, sample_camera(3, number + 1), image, 0.1) for person in people]
    pixels = render(who, views, spectrum, height, height // 2).numpy()
    modality = "visible" if spectrum is Spectrum.VISIBLE else "infrared"
    return [
        Picture(
            name=f"{camera}/{person:04d}-{image}.jpg",
            data=encoded(Image.fromarray(picture), "JPEG"),
            person=person,
            modality=modality,
            camera=camera,
            time=(START + timedelta(minutes=97 * number + 7 * person, seconds=2 * image)).isoformat(),
            track=f"{camera}-{person}",
        )
        for person, picture in zip(people, pixels, strict=True)
    ]


@cache
def thumbnail(data: bytes) -> bytes:
    return encoded(_small(data), "JPEG")


@cache
def heat(data: bytes) -> bytes:
    """Lay a warm spot over the upper body."""
    picture = np.asarray(_small(data), dtype=float)
    down, across = np.mgrid[: picture.shape[0], : picture.shape[1]]
    spot = np.exp(-(((down - 48) / 26) ** 2) - ((across - picture.shape[1] / 2) / 16) ** 2)[..., None]
    mixed = (1 - 0.6 * spot) * picture + 0.6 * spot * np.array([255, 90, 20])
    return encoded(Image.fromarray(mixed.astype(np.uint8)), "PNG")


def _small(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    return picture.resize((max(1, round(128 * picture.width / picture.height)), 128))


def encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=88)
    return buffer.getvalue()


def data_url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
