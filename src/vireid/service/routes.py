"""The REST interface under /api/v1."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from vireid.gallery.records import Where
from vireid.gallery.schemas import (
    MAX_TOP,
    Id,
    IdsModel,
    Listing,
    SearchModel,
    VectorsModel,
    WhereModel,
    encode,
    entry_json,
    info_json,
    where_json,
)
from vireid.service import schemas as answers
from vireid.service.auth import Asked, needs
from vireid.service.limits import Limits, Refusal
from vireid.service.openapi import form_body, json_body
from vireid.service.search import find, finding_json
from vireid.service.tokens import Role
from vireid.service.upload import ABOUT, read_images, read_vectors

_ERRORS = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)
router = APIRouter(prefix="/api/v1", responses={status: {"model": answers.Error} for status in _ERRORS})

Searcher = Annotated[Asked, Depends(needs(Role.SEARCH))]
Writer = Annotated[Asked, Depends(needs(Role.WRITE))]
Admin = Annotated[Asked, Depends(needs(Role.ADMIN))]
ImageId = Annotated[Id, Path(description="SHA-256 of the image's content.")]
_QUERY = form_body("query", {"$ref": "#/components/schemas/SearchModel"}, Limits.images, SearchModel)
_ABOUT = form_body("about", ABOUT.json_schema(ref_template="#/components/schemas/{model}"), Limits.images)
_ABOUT["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["about"].pop("$defs")


@router.get("/gallery", response_model=answers.GalleryAnswer)
async def gallery(asked: Searcher) -> Response:
    """Describe the gallery, and what the caller may do."""
    info = info_json(await asked.engine.info())
    more = {"thresholds": asked.service.thresholds, "heatmaps": asked.engine.heatmaps, "role": str(asked.caller.role)}
    return JSONResponse(info | more)


@router.post("/search", response_model=answers.SearchAnswer, openapi_extra=_QUERY)
async def search(asked: Searcher) -> Response:
    """Find one person by images of them, by vectors, or by images in the gallery."""
    start = perf_counter()
    finding = await find(asked)
    content = await finding_json(asked.engine, finding)
    await asked.note(
        "search",
        images=[picture.id for picture in finding.pictures],
        examples=finding.model.examples,
        vectors=finding.model.vectors is not None,
        where=where_json(finding.model.where.record()),
        found=len(content["matches"]),
    )
    asked.engine.metrics.searches.inc()
    return JSONResponse(content | {"milliseconds": round(1000 * (perf_counter() - start), 1)})


@router.post("/images", response_model=answers.AddAnswer, openapi_extra=_ABOUT)
async def add_images(asked: Writer) -> Response:
    """Add images; images already in the gallery stay unchanged, unreadable ones are named."""
    upcoming = await read_images(asked)
    ids = [image.entry.id for image in upcoming.fresh]
    await asked.note("add", images=ids, unreadable=len(upcoming.failed))
    added = await asked.engine.add(upcoming.fresh) if ids else 0
    await asked.note("added", images=added)
    failed = [{"name": name, "error": error} for name, error in upcoming.failed]
    known = len(upcoming.ids) - added
    return JSONResponse({"added": added, "known": known, "failed": failed, "ids": upcoming.ids})


@router.post("/vectors", response_model=answers.AddedAnswer, openapi_extra=json_body(VectorsModel))
async def add_vectors(asked: Writer) -> Response:
    """Add images that this model embedded elsewhere."""
    images = await read_vectors(asked)
    await asked.note("add", images=[image.entry.id for image in images])
    added = await asked.engine.add(images) if images else 0
    await asked.note("added", images=added)
    return JSONResponse({"added": added})


@router.get("/images", response_model=answers.Page)
async def list_images(asked: Searcher, listing: Annotated[Listing, Query()]) -> Response:
    """List entries, sorted by id."""
    entries = await asked.engine.entries(listing.record(), listing.limit, listing.after)
    await asked.note("list", where=where_json(listing.record()), found=len(entries))
    after = entries[-1].id if len(entries) == listing.limit else None
    return JSONResponse({"entries": [entry_json(entry) for entry in entries], "next": after})


@router.post("/known", response_model=answers.Known, openapi_extra=json_body(IdsModel))
async def known(asked: Searcher) -> Response:
    """Return which of these images are in the gallery."""
    model = await asked.json(IdsModel)
    return JSONResponse({"known": sorted(await asked.engine.known(model.ids))})


@router.post("/vectors/get", response_model=answers.VectorsAnswer, openapi_extra=json_body(IdsModel))
async def get_vectors(asked: Searcher) -> Response:
    """Return the vectors of these images."""
    model = await asked.json(IdsModel)
    vectors = await asked.engine.vectors(model.ids)
    await asked.note("vectors", found=len(vectors))
    return JSONResponse({"vectors": encode(vectors)})


@router.get("/images/{id}/thumbnail", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def thumbnail(asked: Searcher, id: ImageId) -> Response:
    """Return the thumbnail of an image."""
    await asked.engine.entry(id)
    return Response(await asked.engine.thumbnail(id), media_type="image/jpeg")


@router.get("/images/{id}/heatmap", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def heatmap(asked: Searcher, id: ImageId) -> Response:
    """Return the thumbnail with the network's response overlaid."""
    return Response(await asked.engine.heat_of(id), media_type="image/png")


@router.post("/delete", response_model=answers.Removed, openapi_extra=json_body(WhereModel))
async def delete(asked: Admin) -> Response:
    """Delete entries with their vectors and thumbnails for good; at least one restriction is required."""
    where = (await asked.json(WhereModel)).record()
    if where == Where():
        raise Refusal(422, "delete: expected at least one restriction, such as ids or cameras")
    await asked.note("delete", where=where_json(where))
    removed = await asked.engine.remove(where)
    await asked.note("deleted", images=removed)
    return JSONResponse({"removed": removed})


@router.get("/audit", response_model=answers.AuditAnswer)
async def audit(asked: Admin, limit: Annotated[int, Query(ge=1, le=MAX_TOP)] = 100) -> Response:
    """Return the last lines of the audit log, oldest first."""
    return JSONResponse({"lines": await asked.service.audit.last(limit)})
