"""Requests and answers of the REST interface as validated models, and their conversion to and from records."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from vireid.deploy.embedder import Vectors
from vireid.gallery.milvus import MOST
from vireid.gallery.records import Entry, GalleryInfo, Where
from vireid.gallery.times import LATEST
from vireid.types import Modality, VireidError

MAX_TOP = 1000
"""Most entries on a page, ids in a request and pictures in an answer; a search returns up to `MOST` matches."""

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
ModalityName = Literal["visible", "infrared"]
Names = Annotated[list[Name], Field(max_length=256)]
Ids = Annotated[list[Id], Field(max_length=MAX_TOP)]

_TIME: TypeAdapter[datetime | None] = TypeAdapter(datetime | None)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _in_range(time: datetime) -> datetime:
    if not 0 <= (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp() < LATEST:
        raise PydanticCustomError("time", "expected a time from 1970 on and before the year 10000, in UTC")
    return time


Time = Annotated[datetime, AfterValidator(_in_range)]


class Strict(BaseModel):
    """Base that refuses unknown fields, so that a misspelt filter is an error and not a wider search."""

    model_config = ConfigDict(extra="forbid")


class EntryModel(Strict):
    """One image of the gallery; `time` is in ISO 8601, UTC if it names no zone."""

    id: Id
    name: Name
    modality: ModalityName
    camera: Name = ""
    time: Time | None = None
    track: Name | None = None

    def record(self) -> Entry:
        return Entry(self.id, self.name, modality_of(self.modality), self.camera, seconds(self.time), self.track)


class WhereModel(Strict):
    """A filter of entries; an omitted field does not restrict."""

    ids: Annotated[Ids, Field(min_length=1)] = []  # an empty list would mean everything, even in a deletion
    modality: ModalityName | None = None
    cameras: Names = []
    not_cameras: Names = []
    since: Annotated[Time | None, Field(description="Inclusive.")] = None
    until: Annotated[Time | None, Field(description="Exclusive.")] = None
    tracks: Names = []

    def record(self) -> Where:
        return Where(
            ids=tuple(self.ids),
            modality=None if self.modality is None else modality_of(self.modality),
            cameras=tuple(self.cameras),
            not_cameras=tuple(self.not_cameras),
            since=seconds(self.since),
            until=seconds(self.until),
            tracks=tuple(self.tracks),
        )


class Listing(WhereModel):
    """A page of entries: the filter, how many, and after which id."""

    limit: Annotated[int, Field(ge=1, le=MAX_TOP)] = 100
    after: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""


class SearchModel(Strict):
    """One person to search for: images in the same form, `vectors`, or `examples` from the gallery."""

    modality: Annotated[ModalityName | None, Field(description="Modality of the images, required with images.")] = None
    top: Annotated[int, Field(ge=1, le=MOST)] = 20
    where: WhereModel = WhereModel()
    rerank: bool = False
    group_by_track: bool = False
    examples: Annotated[Ids, Field(description="Images of the gallery that also show the person.")] = []
    not_: Annotated[Ids, Field(alias="not", description="Images to leave out.")] = []
    heatmaps: bool = False
    thumbnails: Annotated[bool, Field(description=f"Thumbnails of the first {MAX_TOP} images.")] = True
    vectors: Annotated[str | None, Field(description="Base64 of float32, little-endian, n x dimension.")] = None


class AboutModel(Strict):
    """Modality, camera, time and track of an image to add."""

    modality: ModalityName
    camera: Name = ""
    time: Time | None = None
    track: Name | None = None


class VectorModel(Strict):
    """An image embedded elsewhere: `vector` and `thumbnail` (JPEG) in base64."""

    entry: EntryModel
    vector: str
    thumbnail: str


class VectorsModel(Strict):
    """Images embedded elsewhere, by the model that `fingerprint` names."""

    fingerprint: str
    images: Annotated[list[VectorModel], Field(max_length=MAX_TOP)]


class IdsModel(Strict):
    """Ids of images."""

    ids: Ids


def modality_of(name: ModalityName) -> Modality:
    return Modality[name.upper()]


def seconds(time: datetime | None) -> float | None:
    """Return seconds since 1970 UTC; a time without a zone counts as UTC."""
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()


def iso(time: float | None) -> str | None:
    """Return a time in ISO 8601, UTC, to the microsecond.

    >>> iso(0.5)
    '1970-01-01T00:00:00.500000Z'
    """
    return None if time is None else (_EPOCH + timedelta(seconds=time)).isoformat().replace("+00:00", "Z")


def entry_json(entry: Entry) -> dict[str, Any]:
    return {**vars(entry), "modality": str(entry.modality), "time": iso(entry.time)}


def where_json(where: Where) -> dict[str, Any]:
    """Return the fields of ``where`` that restrict."""
    content = {**vars(where), "since": iso(where.since), "until": iso(where.until)}
    content["modality"] = None if where.modality is None else str(where.modality)
    return {name: value for name, value in content.items() if value not in (None, ())}


def info_json(info: GalleryInfo) -> dict[str, Any]:
    return {**info.to_dict(), "first": iso(info.first), "last": iso(info.last)}


def info_record(content: dict[str, Any]) -> GalleryInfo:
    """Return what a service reports about its gallery; raise `VireidError` for an invalid answer."""
    names = {field.name for field in fields(GalleryInfo)}
    try:
        times = {name: seconds(_TIME.validate_python(content[name])) for name in ("first", "last")}
        return GalleryInfo(**{name: content[name] for name in names} | times)
    except (KeyError, ValidationError):
        raise VireidError("gallery: cannot read the service's answer; does it run the same version?") from None


def encode(vectors: Vectors) -> str:
    """Return base64 of float32, little-endian, row by row."""
    return base64.b64encode(np.ascontiguousarray(vectors, "<f4").tobytes()).decode()


def decode_bytes(text: str, field: str) -> bytes:
    """Return the bytes of base64 ``text``; raise `VireidError` that names the field."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VireidError(f"{field}: not base64; encode the bytes with the standard alphabet and padding") from None


def decode(text: str, dimension: int, field: str) -> Vectors:
    """Return the vectors (n, dimension) of base64 ``text``.

    Raises:
        VireidError: not base64, no vector or not a whole number of them, NaN or infinity, a row of zeros.
    """
    data = decode_bytes(text, field)
    if not data or len(data) % (4 * dimension):
        raise VireidError(f"{field}: expected n x {dimension} float32 values, got {len(data)} bytes; use this model")
    vectors = np.frombuffer(data, "<f4").reshape(-1, dimension).astype(np.float32)
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise VireidError(f"{field}: expected finite values and no row of zeros; embed the image again")
    return vectors


def explain(error: ValidationError | Sequence[Any], field: str) -> str:
    """Return the first error of a validation as one line that names the field."""
    first = (error.errors(include_url=False) if isinstance(error, ValidationError) else error)[0]
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {count - 1} more)" if (count := _count(error)) > 1 else ""
    return f"{'.'.join(filter(None, (field, place))) or 'body'}: {first['msg'].lower()}{more}; see /docs"


def _count(error: ValidationError | Sequence[Any]) -> int:
    return error.error_count() if isinstance(error, ValidationError) else len(error)
