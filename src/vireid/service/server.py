"""Running the service: sockets, TLS, time limits of connections, and a shutdown that finishes accepted requests."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import secrets
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vireid.deploy.embedder import Embedder
from vireid.gallery.records import Gallery
from vireid.service.app import ServiceSettings, create_app
from vireid.service.limits import Limits
from vireid.service.tokens import Tokens, write_private
from vireid.types import VireidError

_KEEP_SECONDS = 5
_END_SECONDS = 2.0
_CLOSE_SECONDS = 5
"""Seconds for work still running in gallery and model after the connections have closed."""
_CONNECTIONS = 512


@dataclass(frozen=True)
class Address:
    """Where a service listens. Port 0 takes a free one; certificate and key are PEM files for TLS."""

    host: str = "127.0.0.1"
    port: int = 8765
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise VireidError(f"port: expected 0 to 65535, got {self.port}")
        if (self.certificate is None) != (self.key is None):
            raise VireidError("certificate and key: expected both or neither; --certificate FILE --key FILE")

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = "localhost" if self.host in ("0.0.0.0", "::") else self.host
        return f"http{'s' if self.certificate else ''}://{f'[{host}]' if ':' in host else host}:{self.port}"


class _Patient(H11Protocol):
    """Adds what uvicorn lacks: time limits for headers that never end and for an answer that nobody reads."""

    limits: Limits
    _timer: asyncio.TimerHandle | None = None
    _timed: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def shutdown(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        super().shutdown()
        if idle:  # TLS would wait half a minute for the other side to close too
            self.loop.call_later(_END_SECONDS, self.transport.abort)

    def _watch(self) -> None:
        """Start the time limit for the connection's state: waiting for a request's headers, or answering it."""
        answering = self.cycle is not None and not self.cycle.response_complete
        state = (self.cycle, answering)
        if state == self._timed:
            return
        self._timed = state
        if self._timer is not None:
            self._timer.cancel()
        seconds = self.limits.seconds + 10 if answering else self.limits.head_seconds
        self._timer = self.loop.call_later(seconds, self.transport.abort)


class _Server(uvicorn.Server):
    """Server that always ends: a call still hanging after the time limits is abandoned, as by kill -9, which a gallery
    survives.

    A hanging thread would otherwise keep the process alive for ever, because Python waits for all threads of a pool.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._last = threading.Timer((config.timeout_graceful_shutdown or 0) + _CLOSE_SECONDS, _leave)
        self._last.daemon = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._last.ident is None:
            self._last.start()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        super().run(sockets)
        self._last.cancel()


def _leave() -> None:
    logging.getLogger("vireid.service").error("a call to the gallery or the model does not end; exiting without it")
    os._exit(1)


def serve(gallery: Gallery, embedder: Embedder, place: str, address: Address, settings: ServiceSettings) -> None:
    """Serve the gallery at ``place`` until SIGTERM or Ctrl-C, finish accepted requests, and stop.

    While it runs, ``serving.json`` in the store's folder gives commands on this machine the address and a token of this
    process. Prints the address of the page.

    Raises:
        VireidError: the port is taken, the certificate cannot be used, or no token exists for callers elsewhere.
    """
    if not address.loopback and not Tokens(settings.folder).stored():
        raise VireidError(
            f"{address.host}: reachable from other machines, but no token exists; run vireid token add {place} first"
        )
    settings = replace(settings, session=secrets.token_urlsafe(32))
    _check_certificate(address)
    listener = _listen(address)
    with listener:
        address = replace(address, port=listener.getsockname()[1])
        app = create_app(gallery, embedder, settings)
        server = _Server(_config(app, address, settings.limits))
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn handles them only while it serves
            signal.signal(number, server.handle_exit)
        with _announced(place, address, settings):
            _say(address, settings)
            server.run([listener])


def _config(app: Any, address: Address, limits: Limits) -> uvicorn.Config:
    patient = type("Patient", (_Patient,), {"limits": limits})
    return uvicorn.Config(
        app,
        http=patient,
        ws="none",
        loop="asyncio",
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_SECONDS,
        timeout_graceful_shutdown=int(limits.seconds) + 5,
        h11_max_incomplete_event_size=2**17,  # a thousand ids in an address
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
    )


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # declared as TCP, or asyncio leaves Nagle on and every answer waits 40 ms for an acknowledgement
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise VireidError(
            f"{address.host}:{address.port}: cannot listen ({error.strerror}); choose another --port"
        ) from error
    return listener


def _check_certificate(address: Address) -> None:
    if address.certificate is None or address.key is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(address.certificate, address.key)
    except (OSError, ssl.SSLError) as error:
        raise VireidError(
            f"{address.certificate}: cannot be used with {address.key} ({error.strerror or error}); expected PEM files"
        ) from error


@contextmanager
def _announced(place: str, address: Address, settings: ServiceSettings) -> Iterator[None]:
    """Keep ``serving.json`` in the store's folder while the service runs."""
    if "://" in place:
        yield
        return
    path = Path(place) / "serving.json"
    certificate = None if address.certificate is None else str(address.certificate.absolute())
    content = {"url": address.url, "token": settings.session, "pid": os.getpid(), "certificate": certificate}
    write_private(path, content)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _say(address: Address, settings: ServiceSettings) -> None:
    """Print the page's address; on the loopback with a token in the fragment, which browsers do not send."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    if address.loopback:
        print(f"Search page: {address.url}/#token={settings.session}\nCtrl-C stops the service.", flush=True)
        return
    print(f"Search page: {address.url}/ (give each person their own token: vireid token add)", flush=True)
    if address.certificate is None:
        logging.getLogger("vireid.service").warning("no TLS: tokens and pictures can be read in transit; see docs")
