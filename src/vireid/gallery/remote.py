"""A gallery that a running service holds, through its REST interface."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vireid.deploy.embedder import Vectors
from vireid.gallery.records import Entry, GalleryInfo, Match, NewImage, Where
from vireid.gallery.schemas import (
    MAX_TOP,
    EntryModel,
    decode,
    encode,
    entry_json,
    info_record,
    where_json,
)
from vireid.types import VireidError

Item = TypeVar("Item")

_EVERYTHING = Where()
_ADD = 128
_SECONDS = 90.0


class RemoteGallery:
    """The `Gallery` behind the service at ``url``.

    ``token`` needs the role admin to remove, write to add, and search for everything else. ``verify`` is as in httpx:
    True for the system's certificate authorities, a path to your own certificate, or a context. A request is sent only
    once: the gallery knows which images it has, so the same call can be repeated after an error.

    Raises:
        VireidError: httpx is not installed. Every method: the service does not answer or refuses, in one line.
    """

    def __init__(self, url: str, token: str, verify: bool | str | ssl.SSLContext = True) -> None:
        try:
            import httpx
        except ImportError as error:
            raise VireidError("httpx is not installed: install with pip install 'vireid[search]'") from error

        self._url = url.rstrip("/")
        context = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
        headers = {"Authorization": f"Bearer {token}"}
        # The service is on this machine or one that the caller named, so ignore the environment's proxies.
        self._client = httpx.Client(
            base_url=f"{self._url}/api/v1/", headers=headers, verify=context, timeout=_SECONDS, trust_env=False
        )
        self._transport_error = httpx.TransportError
        self._dimension: int | None = None

    def info(self) -> GalleryInfo:
        info = info_record(self._get("gallery"))
        self._dimension = info.dimension
        return info

    def known(self, ids: Sequence[str]) -> set[str]:
        return {id for part in _parts(ids, MAX_TOP) for id in self._post("known", {"ids": part})["known"]}

    def add(self, images: Iterable[NewImage]) -> int:
        fingerprint, added = None, 0
        for part in _parts(images, _ADD):
            fingerprint = fingerprint or self.info().fingerprint
            content = [
                {
                    "entry": entry_json(image.entry),
                    "vector": encode(image.vector),
                    "thumbnail": base64.b64encode(image.thumbnail).decode(),
                }
                for image in part
            ]
            added += int(self._post("vectors", {"fingerprint": fingerprint, "images": content})["added"])
        return added

    def search(self, query: Vectors, top: int, where: Where = _EVERYTHING, rerank: bool = False) -> list[Match]:
        content = {"vectors": encode(query), "top": top, "where": where_json(where), "rerank": rerank}
        answer = self._post("search", content | {"thumbnails": False})
        return [Match(_entry(match["entry"]), float(match["score"])) for match in answer["matches"]]

    def entries(self, where: Where = _EVERYTHING, limit: int | None = None, after: str = "") -> list[Entry]:
        found: list[Entry] = []
        following: str | None = after
        while following is not None and (limit is None or len(found) < limit):
            number = MAX_TOP if limit is None else min(MAX_TOP, limit - len(found))
            page = self._get("images", **where_json(where), limit=number, after=following)
            found += [_entry(entry) for entry in page["entries"]]
            following = page["next"]
        return found

    def vectors(self, ids: Sequence[str]) -> Vectors:
        dimension = self._dimension or self.info().dimension
        texts = [self._post("vectors/get", {"ids": part})["vectors"] for part in _parts(ids, MAX_TOP)]
        empty = np.empty((0, dimension), np.float32)
        return np.concatenate([empty, *(decode(text, dimension, "vectors") for text in texts)])

    def thumbnail(self, id: str) -> bytes:
        return bytes(self._ask("GET", f"images/{id}/thumbnail").content)

    def remove(self, where: Where) -> int:
        return int(self._post("delete", where_json(where))["removed"])

    def close(self) -> None:
        self._client.close()

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return self._content(self._ask("GET", path, params=parameters))

    def _post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        return self._content(self._ask("POST", path, json=content))

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._client.request(method, path, **arguments)
        except self._transport_error as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise VireidError(
                f"{self._url}: the service does not answer ({reason}); check that it is running and try again"
            ) from error
        if response.is_success:
            return response
        try:
            message = str(response.json()["error"])
        except (ValueError, KeyError, TypeError):
            message = f"status {response.status_code}; expected a vireid service at this address"
        raise VireidError(f"{self._url}: {message}")

    def _content(self, response: Any) -> dict[str, Any]:
        try:
            content = response.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise VireidError(f"{self._url}: not a JSON object; expected a vireid service at this address")
        return content


def pinned(certificate: Path) -> ssl.SSLContext:
    """Return a context that trusts the server with this certificate (PEM, the first in the file), whoever signed it.

    For a service on this machine that ``serving.json`` vouches for: its certificate may name another host.

    Raises:
        VireidError: the file cannot be read or contains no certificate.
    """
    try:
        first = re.search("-----BEGIN CERT.+?-----END CERT[^\n]+", certificate.read_text(), re.DOTALL)
        context = ssl.create_default_context(cadata=first[0] if first else "none")
    except (OSError, ValueError) as error:
        raise VireidError(f"{certificate}: cannot read the service's certificate; restart the service") from error
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # else its authority would have to be trusted too
    return context


def _entry(content: Any) -> Entry:
    return EntryModel.model_validate(content).record()


def _parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
