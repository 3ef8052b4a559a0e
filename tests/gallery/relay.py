"""A server that goes away in the middle of a call: a relay before it that takes the request and loses the answer."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from typing import Literal


class Relay:
    """Passes bytes to and from a server on this machine until `end` is set.

    Then the next answer is lost: "closed" ends all connections and takes no new one, as a killed process would;
    "silent" stays connected and says nothing, as a frozen machine would.
    """

    def __init__(self, port: int) -> None:
        self.end: Literal["closed", "silent"] | None = None
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers and self.end == "closed":
                    return self.close()
                if not answers or self.end is None:
                    sink.sendall(data)
