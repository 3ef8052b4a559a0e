"""How tests ask the service in process, and what every refusal looks like."""

from __future__ import annotations

import json
from typing import Any

from fastapi.testclient import TestClient
from httpx import Response

from tests.gallery.fakes import FakeEmbedder
from tests.service.people import new_image


def files(*contents: bytes, name: str = "a.png") -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (name, content)) for content in contents]


def search(client: TestClient, *contents: bytes, **query: Any) -> Response:
    fields = {"modality": "infrared", "top": 3} | query
    return client.post("/api/v1/search", files=files(*contents), data={"query": json.dumps(fields)})


def id_of(seed: int) -> str:
    return new_image(seed, FakeEmbedder()).entry.id


def one_line(response: Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    message = response.json()["error"]
    assert "\n" not in message
    assert "/home" not in message
    assert "/tmp" not in message
    assert "Traceback" not in message
    return str(message)
