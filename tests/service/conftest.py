from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.gallery.fakes import FakeEmbedder, MemoryGallery
from tests.service.people import filled
from vireid.service.app import ServiceSettings, create_app

SESSION = "the-token-of-the-test"


@pytest.fixture
def model() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def memory(model: FakeEmbedder) -> MemoryGallery:
    return filled(12, model)


@pytest.fixture
def client(memory: MemoryGallery, model: FakeEmbedder, tmp_path: Path) -> Iterator[TestClient]:
    """The application in process, asked by an administrator."""
    settings = ServiceSettings(tmp_path, SESSION, {"visible": {"0.001": 0.5}, "infrared": {"0.001": 0.6}})
    app = create_app(memory, model, settings)
    with TestClient(app, raise_server_exceptions=False, client=("127.0.0.1", 1234)) as client:
        client.headers["Authorization"] = f"Bearer {SESSION}"
        yield client
