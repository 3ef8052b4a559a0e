"""Small galleries: people as vectors, pictures of one colour, an embedder that sees the mean colour."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from vireid.deploy.embedder import Embedder, Vectors
from vireid.gallery.records import Entry, NewImage
from vireid.images import Pixels
from vireid.types import FeatureKind, Modality

DIMENSION = 32


class ColourEmbedder(Embedder):
    """Features of an image's mean colour, the same in both modalities: pictures of near colours are one person."""

    def __init__(self, name: str = "colours", dimension: int = DIMENSION) -> None:
        self.name, self.dimension = name, dimension
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()
        self.height, self.width, self.resampling, self.home = 32, 16, "bilinear", Path("nowhere")
        self._mixing = np.random.default_rng(0).normal(size=(3, dimension))

    def embed(self, images: Pixels, modality: Modality) -> Vectors:
        colours = images.reshape(len(images), -1, 3).mean(axis=1) / 127.5 - 1
        vectors = np.tanh(3 * colours) @ self._mixing + 0.01
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def features(self, images: Pixels, modality: Modality, *, flip: bool = False) -> dict[FeatureKind, Vectors]:
        raise NotImplementedError  # only evaluation asks for more than `embed`

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        return np.zeros((len(images), 2, 1), np.float32)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (16, 32), kind: str = "PNG") -> bytes:
    """The bytes of an image file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


JPEG = picture((1, 2, 3), kind="JPEG")


def people(count: int, images: int = 4, dimension: int = DIMENSION, seed: int = 0) -> list[NewImage]:
    """``images`` images of every one of ``count`` people, cameras c0 to c3, times a minute apart, one track each."""
    generator = np.random.default_rng(seed)
    found = []
    for person in range(count):
        centre = generator.normal(size=dimension)
        for number in range(images):
            vector = centre + 0.3 * generator.normal(size=dimension)
            place = person * images + number
            entry = Entry(
                id=hashlib.sha256(f"{seed}/{place}".encode()).hexdigest(),
                name=f"person{person}-{number}.png",
                modality=Modality(number % 2),
                camera=f"c{number % 4}",
                time=None if number == 3 else 1_700_000_000.0 + 60 * place,
                track=f"t{person}" if number < 2 else None,
            )
            vector = (vector / np.linalg.norm(vector)).astype(np.float32)
            found.append(NewImage(entry, vector, JPEG + f"picture of {entry.id}".encode()))
    return found


def colour_folder(root: Path, count: int = 6) -> Path:
    """A folder of ``count`` pictures, each of another colour."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        colour = (40 * number % 256, 90 * number % 256, 200 - 30 * number % 200)
        (root / f"{number}.png").write_bytes(picture(colour))
    return root
