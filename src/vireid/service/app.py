"""The search service: a gallery and a model behind a REST interface and a page, as one ASGI application."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials
from starlette.exceptions import HTTPException

import vireid
from vireid.deploy.embedder import Embedder
from vireid.gallery.records import Gallery
from vireid.gallery.schemas import explain
from vireid.service import schemas as answers
from vireid.service.audit import Audit
from vireid.service.auth import Service, authorise, bearer
from vireid.service.inference import Engine
from vireid.service.limits import Limits, Refusal
from vireid.service.middleware import CONTENT_POLICY, Guard
from vireid.service.openapi import STYLE_POLICY, describe, page
from vireid.service.routes import router
from vireid.service.tokens import Role, Tokens


@dataclass(frozen=True)
class ServiceSettings:
    """Settings of the service. ``folder`` keeps tokens and audit log; ``session`` is an admin token of this process.

    ``thresholds`` maps the modality of a query, and then a false-match rate, to the similarity to images of the other
    modality that gives this rate.
    """

    folder: Path
    session: str | None = field(default=None, repr=False)
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


def create_app(gallery: Gallery, embedder: Embedder, settings: ServiceSettings) -> FastAPI:
    """Return the application; it does not close the gallery.

    Raises:
        VireidError: the gallery holds vectors of another model, or cannot be read.
    """
    engine = Engine(gallery, embedder, settings.limits)
    audit = Audit(settings.folder / "audit.jsonl")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        engine.close()
        audit.close()

    app = FastAPI(
        title="vireid search",
        version=vireid.__version__,
        description="Find the same person across day and night cameras.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.service = Service(engine, Tokens(settings.folder, settings.session), audit, settings.thresholds)
    app.add_middleware(Guard, limits=settings.limits, gate=engine.gate, metrics=engine.metrics)
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.include_router(router)
    _add_health(app)
    _add_description(app)
    _add_page(app)
    return app


def _add_health(app: FastAPI) -> None:
    unready: dict[int | str, dict[str, Any]] = {503: {"model": answers.Error}}
    hidden: dict[int | str, dict[str, Any]] = {status: {"model": answers.Error} for status in (401, 403, 503)}

    @app.get("/healthz", response_model=answers.Health)
    async def healthz() -> Response:
        """Report that the process responds."""
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", response_model=answers.Health, responses=unready)
    async def readyz(request: Request) -> Response:
        """Report that the gallery responds too."""
        await request.app.state.service.engine.info()
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **hidden})
    async def metrics(
        request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Response:
        """Return Prometheus metrics; callers on this machine, but not through a proxy, need no token."""
        service: Service = request.app.state.service
        local = request.client is not None and request.client.host in ("127.0.0.1", "::1")
        if not local or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
            authorise(service, sent.credentials if sent else None, Role.SEARCH)
        return Response(service.engine.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_description(app: FastAPI) -> None:
    schema = lru_cache(lambda: describe(app))
    html = lru_cache(lambda: page(schema()))
    policy = CONTENT_POLICY.replace("style-src 'self'", STYLE_POLICY)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(schema())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(html(), headers={"Content-Security-Policy": policy})


def _add_page(app: FastAPI) -> None:
    """Serve the page's files from memory: a requested path is only a key there, never a path on disk."""
    folder = files("vireid.service") / "page"
    if not (folder / "index.html").is_file():
        return
    content = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    def answer(name: str) -> Response:
        if name not in content:
            raise Refusal(404, "not found; the page is at /")
        kind = mimetypes.guess_type(name)[0]
        return Response(content[name], media_type=kind, headers={"Cache-Control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return answer("index.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        return answer(name)


async def _refusal(_: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return refusal.response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return Refusal(422, explain(error.errors(), "")).response()


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": f"{str(error.detail).lower()}; see /docs"}, error.status_code, error.headers)
