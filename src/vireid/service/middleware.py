"""The outermost layer of the service: queue, time limit, security headers, and one line instead of a traceback."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from time import monotonic

import anyio
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vireid.service.limits import Gate, Limits, Refusal
from vireid.service.metrics import ServiceMetrics

log = logging.getLogger("vireid.service")

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Guard:
    """Wraps the application; requests to /api/ pass the gate."""

    def __init__(self, app: ASGIApp, limits: Limits, gate: Gate, metrics: ServiceMetrics) -> None:
        self._app, self._limits, self._gate, self._metrics = app, limits, gate, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = monotonic(), 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _secure(MutableHeaders(scope=message))
            await send(message)

        refusal = await self._answer(scope, receive, guarded)
        try:
            if refusal is not None and status:
                raise ConnectionAbortedError  # half the answer was sent: only closing makes the failure clear
            if refusal is not None:
                await refusal.response()(scope, receive, guarded)
        finally:
            self._metrics.observe(scope, status, monotonic() - start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Refusal | None:
        """Let the application answer; return the refusal to send instead if it could not."""
        try:
            with self._gate.enter() if scope["path"].startswith("/api/") else nullcontext():
                with anyio.fail_after(self._limits.seconds):
                    await self._app(scope, receive, send)
        except Refusal as refusal:
            return refusal
        except TimeoutError:
            log.error("%s: no answer within %g s", scope["path"], self._limits.seconds)
            return Refusal(503, f"no answer within {self._limits.seconds:g} s; try again later", Connection="close")
        except Exception:
            log.exception("%s failed", scope["path"])
            return Refusal(500, "internal error; see the service's log, try again or tell its administrator")
        return None


def _secure(headers: MutableHeaders) -> None:
    headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
    headers.setdefault("Cache-Control", "no-store")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
