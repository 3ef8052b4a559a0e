"""What the REST interface answers, for its description in /openapi.json and /docs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from vireid.gallery.schemas import EntryModel


class Error(BaseModel):
    """What went wrong, what was expected, what to do: one line."""

    error: str


class GalleryAnswer(BaseModel):
    """What the gallery holds, and what the caller may do."""

    images: int
    model: str
    fingerprint: str
    dimension: int
    dtype: str
    cameras: dict[str, int]
    modalities: dict[str, int]
    first: str | None
    last: str | None
    thresholds: dict[str, dict[str, float]] = Field(
        description="By the query's modality: false-match rate to the lowest similarity, to images of the other "
        "modality, that keeps it."
    )
    heatmaps: bool
    role: str


class MatchAnswer(BaseModel):
    """An entry, its cosine similarity, and the other matches of its track where they are grouped."""

    entry: EntryModel
    score: float
    thumbnail: str | None = Field(description="A data: address.")
    group: list[MatchAnswer] = []


class QueryAnswer(BaseModel):
    """An image of the query as it was understood; pictures as data: addresses."""

    name: str
    thumbnail: str
    heatmap: str | None


class SearchAnswer(BaseModel):
    """Matches, best first."""

    matches: list[MatchAnswer]
    queries: list[QueryAnswer]
    images: int = Field(description="In the gallery.")
    milliseconds: float
    answered_by: str


class FailedImage(BaseModel):
    """An image that was not added, and why."""

    name: str
    error: str


class AddAnswer(BaseModel):
    """What became of the images; `ids` of those that are in the gallery now, in the order sent."""

    added: int
    known: int
    failed: list[FailedImage]
    ids: list[str]


class Added(BaseModel):
    added: int


class Removed(BaseModel):
    removed: int


class Known(BaseModel):
    known: list[str]


class Vectors(BaseModel):
    vectors: str = Field(description="base64 of float32, little-endian, n x dimension.")


class Page(BaseModel):
    """Entries in the order of their ids; `next` is the `after` of the next page."""

    entries: list[EntryModel]
    next: str | None


class AuditAnswer(BaseModel):
    """The last lines of the audit log, oldest first."""

    lines: list[dict[str, Any]]


class Health(BaseModel):
    status: str
