"""Adding images to the gallery over the REST interface: as files, or embedded elsewhere."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from pydantic import TypeAdapter, ValidationError

from vireid.gallery.records import MAX_THUMBNAIL, Entry, NewImage
from vireid.gallery.schemas import AboutModel, VectorsModel, decode, decode_bytes, explain, modality_of, seconds
from vireid.service.auth import Asked
from vireid.service.inference import DecodedImage, Engine
from vireid.service.limits import Refusal, read_form, refused
from vireid.types import Modality, VireidError

ABOUT: TypeAdapter[AboutModel | list[AboutModel]] = TypeAdapter(AboutModel | list[AboutModel])

_LARGEST_THUMBNAIL = 512


@dataclass(frozen=True)
class Upcoming:
    """Images of an upload: those to add, the ids of all readable ones, and (name, reason) of the others."""

    fresh: list[NewImage]
    ids: list[str]
    failed: list[tuple[str, str]]


async def read_images(asked: Asked) -> Upcoming:
    """Read a form of images, decode them, and embed those that the gallery does not have.

    Raises:
        Refusal: as in `read_form`; no image, or an ``about`` that does not fit.
    """
    uploads, text = await read_form(asked.request, "about", asked.engine.limits)
    if not uploads:
        raise Refusal(422, "images: expected at least one file")
    abouts = _about(text or "null", len(uploads))
    found = await asked.engine.read(uploads)
    failed = [
        (upload.name, one.message) for upload, one in zip(uploads, found, strict=True) if isinstance(one, Refusal)
    ]
    pairs = [(one, about) for one, about in zip(found, abouts, strict=True) if isinstance(one, DecodedImage)]
    known = await asked.engine.known([picture.id for picture, _ in pairs]) if pairs else set()
    unknown = {picture.id: (picture, about) for picture, about in reversed(pairs) if picture.id not in known}
    fresh = await _embed(asked.engine, list(unknown.values()))
    return Upcoming(fresh, [picture.id for picture, _ in pairs], failed)


async def read_vectors(asked: Asked) -> list[NewImage]:
    """Read images that were embedded elsewhere.

    Raises:
        Refusal: 409 for vectors of another model, 422 for an invalid vector, entry or thumbnail.
    """
    model = await asked.json(VectorsModel)
    embedder = asked.engine.embedder
    if model.fingerprint != embedder.fingerprint:
        raise Refusal(409, f"fingerprint: of another model; this gallery holds vectors of {embedder.name}")

    @refused()
    def check() -> list[NewImage]:
        return [
            NewImage(
                image.entry.record(),
                decode(image.vector, embedder.dimension, f"images.{row}.vector")[0],
                _thumbnail(image.thumbnail, f"images.{row}.thumbnail"),
            )
            for row, image in enumerate(model.images)
        ]

    return await asked.engine.aside(check)


def _about(text: str, count: int) -> list[AboutModel]:
    """Return modality, camera, time and track of each of ``count`` images."""
    try:
        about = ABOUT.validate_json(text)
    except ValidationError as error:
        raise Refusal(422, explain(error, "about")) from None
    if isinstance(about, AboutModel):
        return [about] * count
    if len(about) != count:
        raise Refusal(422, f"about: {len(about)} for {count} images; send one for all or one for each")
    return about


async def _embed(engine: Engine, pairs: Sequence[tuple[DecodedImage, AboutModel]]) -> list[NewImage]:
    """Return the images with their vectors, embedded in one batch per modality."""
    images = []
    for modality in Modality:
        chosen = [(picture, about) for picture, about in pairs if modality_of(about.modality) == modality]
        vectors = await engine.embed([picture for picture, _ in chosen], modality)
        for (picture, about), vector in zip(chosen, vectors, strict=True):
            with refused():
                entry = Entry(picture.id, picture.name, modality, about.camera, seconds(about.time), about.track)
                images.append(NewImage(entry, vector, picture.thumbnail))
    return images


def _thumbnail(text: str, field: str) -> bytes:
    """Return a JPEG thumbnail that can be decoded; raise `VireidError` for anything else."""
    data = decode_bytes(text, field)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            fits = len(data) <= MAX_THUMBNAIL and max(image.size) <= _LARGEST_THUMBNAIL
            if fits:
                image.load()
    except Exception:
        fits = False
    if not fits:
        most = f"{MAX_THUMBNAIL} bytes and {_LARGEST_THUMBNAIL} pixels a side"
        raise VireidError(f"{field}: expected a JPEG of at most {most}; recreate it from the image")
    return data
