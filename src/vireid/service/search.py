"""Searches through the REST interface: from a request to matches as JSON."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vireid.gallery.records import Match
from vireid.gallery.schemas import MAX_TOP, SearchModel, decode, entry_json, modality_of
from vireid.service.auth import Asked, parse
from vireid.service.inference import DecodedImage, Engine
from vireid.service.limits import Refusal, content_type, read_form, refused


@dataclass(frozen=True)
class Finding:
    """A search and its result: groups of matches, best first, each with its best match first."""

    model: SearchModel
    pictures: list[DecodedImage]
    groups: list[list[Match]]


async def find(asked: Asked) -> Finding:
    """Read a search, embed its images and search the gallery.

    Raises:
        Refusal: an image cannot be read, or there is nothing to search for.
    """
    model, pictures = await _read(asked)
    engine, where = asked.engine, model.where.record()
    parts = []
    if pictures:
        if model.modality is None:
            raise Refusal(422, "query.modality: expected visible or infrared, the kind of camera that took the images")
        parts.append(await engine.embed(pictures, modality_of(model.modality)))
    if model.vectors is not None:
        with refused():
            parts.append(decode(model.vectors, engine.embedder.dimension, "vectors"))
    if model.examples:
        parts.append(await engine.vectors(model.examples))
    if not parts:
        raise Refusal(422, "query: nothing to search for; send images, vectors or examples")
    query, unwanted = np.concatenate(parts), set(model.not_)
    groups = await engine.search(query, model.top, where, model.rerank, model.group_by_track, unwanted)
    return Finding(model, pictures, groups)


async def finding_json(engine: Engine, finding: Finding) -> dict[str, Any]:
    """Return the answer without its time: matches, queries (with heat maps if requested), and the model."""
    model, pictures = finding.model, finding.pictures
    heat: list[bytes] = []
    if model.heatmaps and pictures and model.modality:
        heat = await engine.heat([picture.pixels for picture in pictures], modality_of(model.modality))
    queries = [
        {
            "name": picture.name,
            "thumbnail": _address("jpeg", picture.thumbnail),
            "heatmap": _address("png", heat[row]) if heat else None,
        }
        for row, picture in enumerate(pictures)
    ]
    ranked = sorted((pair for group in finding.groups for pair in enumerate(group)), key=lambda pair: pair[0])
    pictured = {match.entry.id for _, match in ranked[:MAX_TOP]} if model.thumbnails else set()
    matches = await asyncio.gather(*(_group_json(engine, group, pictured) for group in finding.groups))
    return {
        "matches": [match for match in matches if match is not None],
        "queries": queries,
        "images": (await engine.info()).images,
        "answered_by": f"{engine.embedder.name}, cosine{', k-reciprocal re-ranking' if model.rerank else ''}",
    }


async def _read(asked: Asked) -> tuple[SearchModel, list[DecodedImage]]:
    if content_type(asked.request) != "multipart/form-data":
        return await asked.json(SearchModel), []
    uploads, text = await read_form(asked.request, "query", asked.engine.limits)
    model = parse(SearchModel, text or "{}", "query")
    pictures = []
    for found in await asked.engine.read(uploads):
        if isinstance(found, Refusal):
            raise found
        pictures.append(found)
    return model, pictures


async def _group_json(engine: Engine, group: Sequence[Match], pictured: set[str]) -> dict[str, Any] | None:
    """Return a group as its best match with the others in it; None if all were deleted a moment ago."""
    found = [content for match in group if (content := await _match_json(engine, match, match.entry.id in pictured))]
    return {**found[0], "group": found[1:]} if found else None


async def _match_json(engine: Engine, match: Match, thumbnails: bool) -> dict[str, Any] | None:
    thumbnail = None
    if thumbnails:
        try:
            thumbnail = _address("jpeg", await engine.thumbnail(match.entry.id))
        except Refusal:
            if match.entry.id in await engine.known([match.entry.id]):
                raise
            return None
    return {"entry": entry_json(match.entry), "score": match.score, "thumbnail": thumbnail, "group": []}


def _address(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
