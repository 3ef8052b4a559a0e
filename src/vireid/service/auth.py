"""Authorisation: the dependency by which every route of the REST interface names the role that it needs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ValidationError

from vireid.gallery.schemas import explain
from vireid.service.audit import Audit
from vireid.service.inference import Engine
from vireid.service.limits import Refusal, content_type, read_body
from vireid.service.tokens import Caller, Role, Tokens
from vireid.types import VireidError

log = logging.getLogger("vireid.service")

Body = TypeVar("Body", bound=BaseModel)

bearer = HTTPBearer(auto_error=False, description="A token from `vireid token add`.")


@dataclass(frozen=True)
class Service:
    """Objects that the routes share, in ``app.state.service``."""

    engine: Engine
    tokens: Tokens
    audit: Audit
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One authorised request."""

    request: Request
    caller: Caller
    service: Service

    @property
    def engine(self) -> Engine:
        return self.service.engine

    async def note(self, what: str, **details: Any) -> None:
        """Write a line to the audit log; raise `Refusal` 503 if it cannot be written."""
        client = self.request.client.host if self.request.client else ""
        try:
            await self.service.audit.write(self.caller.name, client, what, **details)
        except VireidError as error:
            log.error("audit: %s", error)
            raise Refusal(503, "audit: cannot be written, so nothing was done; the service's log says why") from None

    async def json(self, model: type[Body]) -> Body:
        """Return the body as ``model``; raise `Refusal` if it does not fit."""
        if content_type(self.request) != "application/json":
            raise Refusal(415, f"content-type: expected application/json, got {content_type(self.request)[:60]!r}")
        return parse(model, await read_body(self.request, self.engine.limits), "")


def parse(model: type[Body], content: bytes | str, field: str) -> Body:
    """Return JSON as ``model``.

    Raises:
        Refusal: 422 that names the field.
    """
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise Refusal(422, explain(error, field)) from None


def authorise(service: Service, header: str | None, role: Role) -> Caller:
    """Return the caller whose token is in ``header`` (None if none was sent).

    Raises:
        Refusal: 401 without a token or for an unknown or expired one, 403 if its role is too low, 503 for a damaged
            token file.
    """
    if not header:
        raise _unknown("token: none sent; expected Authorization: Bearer TOKEN")
    try:
        caller = service.tokens.caller(header)
    except (VireidError, OSError) as error:
        raise Refusal(503, "tokens: cannot be read; ask the service's administrator") from error
    if isinstance(caller, str):
        raise _unknown(caller)
    if caller.role < role:
        raise Refusal(403, f"token: has the role {caller.role}, but this needs {role}; ask for another token")
    return caller


def needs(role: Role) -> Callable[..., Awaitable[Asked]]:
    """Return the dependency for a route that needs ``role``."""

    async def asked(request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> Asked:
        service: Service = request.app.state.service
        return Asked(request, authorise(service, sent.credentials if sent else None, role), service)

    return asked


def _unknown(message: str) -> Refusal:
    return Refusal(401, message, **{"WWW-Authenticate": "Bearer"})
