"""Answers of the REST interface, as models for its description in /openapi.json and /docs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from vireid.gallery.schemas import EntryModel


class Error(BaseModel):
    """One line that says what went wrong, what was expected and what to do."""

    error: str


class GalleryAnswer(BaseModel):
    """The contents of the gallery, and what the caller may do."""

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
        description="For each modality of a query: false-match rates, each with the lowest similarity to images of the "
        "other modality that keeps it."
    )
    heatmaps: bool
    role: str


class MatchAnswer(BaseModel):
    """An entry, its cosine similarity, and, if grouped, the other matches of its track."""

    entry: EntryModel
    score: float
    thumbnail: str | None = Field(description="A data: URL.")
    group: list[MatchAnswer] = []


class QueryAnswer(BaseModel):
    """An image of the query as the service read it; pictures are data: URLs."""

    name: str
    thumbnail: str
    heatmap: str | None


class SearchAnswer(BaseModel):
    """Matches, best first."""

    matches: list[MatchAnswer]
    queries: list[QueryAnswer]
    images: int = Field(description="Images in the gallery.")
    milliseconds: float
    answered_by: str


class FailedImage(BaseModel):
    """An image that was not added, and the reason."""

    name: str
    error: str


class AddAnswer(BaseModel):
    """The result of adding images; `ids` lists those now in the gallery, in the order sent."""

    added: int
    known: int
    failed: list[FailedImage]
    ids: list[str]


class AddedAnswer(BaseModel):
    added: int


class Removed(BaseModel):
    removed: int


class Known(BaseModel):
    known: list[str]


class VectorsAnswer(BaseModel):
    vectors: str = Field(description="Base64 of float32, little-endian, n x dimension.")


class Page(BaseModel):
    """Entries sorted by id; `next` is the `after` of the next page."""

    entries: list[EntryModel]
    next: str | None


class AuditAnswer(BaseModel):
    """The last lines of the audit log, oldest first."""

    lines: list[dict[str, Any]]


class Health(BaseModel):
    status: str
