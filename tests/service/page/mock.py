"""A service that speaks the REST interface over pictures in memory: it knows who is who and makes its scores up."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from threading import Thread
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

import vireid.service
from tests.service.page.people import Picture, data_url, heat, thumbnail

FILES = f"{vireid.service.__path__[0]}/page"
TOKEN = "night-shift"
LARGEST = 400_000
DIMENSION = 16
THRESHOLDS = {"visible": {"0.01": 0.4, "0.001": 0.58}, "infrared": {"0.01": 0.5, "0.001": 0.62}}


@cache
def vector(picture: Picture) -> np.ndarray:
    """A person's direction, a modality's, and a little of the picture's own."""
    parts = ((f"p{picture.person}", 1.0), (picture.modality, 0.5), (hashlib.sha256(picture.data).hexdigest(), 0.45))
    mixed = sum(weight * direction(name) for name, weight in parts)
    return np.asarray(mixed / np.linalg.norm(mixed))


def direction(name: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).normal(size=DIMENSION)
    return np.asarray(drawn / np.linalg.norm(drawn))


class Refusal(Exception):
    def __init__(self, status: int, error: str) -> None:
        self.response = JSONResponse({"error": error}, status)


def create_app(pictures: Sequence[Picture], queries: Sequence[Picture]) -> FastAPI:
    """``queries`` are the uploads whose person is known."""
    app = FastAPI()
    by_id = {hashlib.sha256(picture.data).hexdigest(): picture for picture in pictures}
    known = {picture.data: picture for picture in queries}

    def entry(id: str) -> dict[str, Any]:
        fields = ("name", "modality", "camera", "time", "track")
        return {"id": id, **{field: getattr(by_id[id], field) for field in fields}}

    def match(id: str, query: np.ndarray) -> dict[str, Any]:
        shown = data_url(thumbnail(by_id[id].data), "jpeg")
        return {"entry": entry(id), "score": float(vector(by_id[id]) @ query), "thumbnail": shown}

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        if request.url.path.startswith("/api/") and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"error": "token: not known here, or expired; ask for a new one"}, 401)
        try:
            response: Response = await call_next(request)
        except Refusal as refusal:
            return refusal.response
        return response

    @app.get("/api/v1/gallery")
    def info() -> dict[str, Any]:
        times = sorted(picture.time for picture in pictures)
        return {
            "images": len(pictures), "model": "small-dfw", "fingerprint": "ab" * 32, "dimension": DIMENSION,
            "cameras": Counter(p.camera for p in pictures), "modalities": Counter(p.modality for p in pictures),
            "first": times[0] if times else None, "last": times[-1] if times else None,
            "thresholds": THRESHOLDS if pictures else {"visible": {}, "infrared": {}},
            "heatmaps": True, "role": "search",
        }  # fmt: skip

    @app.get("/api/v1/images/{id}/heatmap")
    def heatmap(id: str) -> Response:
        return Response(heat(by_id[id].data), media_type="image/png")

    @app.post("/api/v1/search")
    async def search(request: Request) -> dict[str, Any]:
        form = await request.form()
        query = json.loads(str(form["query"]))
        uploads = [(upload.filename, await upload.read()) for upload in form.getlist("images")]
        for name, data in uploads:
            if len(data) > LARGEST:
                raise Refusal(413, f"{name}: {len(data)} bytes, expected at most {LARGEST}; give a smaller picture")
            if not data.startswith((b"\xff\xd8", b"\x89PNG")):
                raise Refusal(415, f"{name}: not a picture that is read here; give JPEG or PNG")
        examples = [by_id[id] for id in query["examples"]]
        given = [known.get(data) or Picture("", data, -1, query["modality"], "", "", "") for _, data in uploads]
        mean = np.mean([vector(picture) for picture in (*given, *examples)], axis=0)
        mean = mean / np.linalg.norm(mean)
        passing = [id for id in by_id if passes(by_id[id], query["where"]) and id not in query["not"]]
        matches = sorted((match(id, mean) for id in passing), key=lambda found: -found["score"])
        if query["group_by_track"]:
            matches = grouped(matches)
        shown = [{"name": n, "thumbnail": "", "heatmap": data_url(heat(d), "png")} for n, d in uploads]
        return {"matches": matches[: query["top"]], "queries": shown, "images": len(pictures), "milliseconds": 8.4}

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(f"{FILES}/index.html")

    app.mount("/static", StaticFiles(directory=FILES))
    return app


def passes(picture: Picture, where: dict[str, Any]) -> bool:
    moment = datetime.fromisoformat(picture.time)
    bounds = {
        key: datetime.fromisoformat(where[key].replace("Z", "+00:00")) for key in ("since", "until") if key in where
    }
    return (
        where.get("modality", picture.modality) == picture.modality
        and picture.camera in where.get("cameras", [picture.camera])
        and picture.camera not in where.get("not_cameras", [])
        and bounds.get("since", moment) <= moment
        and ("until" not in bounds or moment < bounds["until"])
    )


def grouped(matches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tracks: dict[str, list[dict[str, Any]]] = {}
    for found in matches:
        tracks.setdefault(found["entry"]["track"], []).append(found)
    return [{**members[0], "group": members} for members in tracks.values()]


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve on a free port of this machine and give the address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none", lifespan="off"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(5)
