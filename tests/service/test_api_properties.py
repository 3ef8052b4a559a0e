"""Requests made up from the API's own description: no 500, and only answers that it describes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import Receive, Scope, Send

from tests.gallery.fakes import FakeEmbedder
from tests.service.people import filled
from vireid.service.app import ServiceSettings, create_app

_FOLDER = tempfile.TemporaryDirectory()
_APP = create_app(filled(12), FakeEmbedder(), ServiceSettings(Path(_FOLDER.name), "s"))


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """The application without its end, which comes after every single call here."""
    if scope["type"] != "lifespan":
        await _APP(scope, receive, send)
        return
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


_SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", _app)
CHECKS = (
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@_SCHEMA.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_answers_as_described(case: Case) -> None:
    response = case.call(headers={"Authorization": "Bearer s"})
    case.validate_response(response, checks=list(CHECKS))
