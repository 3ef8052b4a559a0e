"""What a server's moods look like from outside, without a server."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from pymilvus.exceptions import MilvusException

import vireid.gallery.server as server_gallery
from tests.gallery.galleries import ColourEmbedder
from vireid.gallery.format import StoreSettings
from vireid.gallery.milvus import told
from vireid.gallery.server import ServerGallery
from vireid.types import VireidError


class Moody:
    """A client whose collection is being handed over for the first ``failures`` queries."""

    def __init__(self, failures: int, message: str = "segment released: segment not loaded[segment=7]") -> None:
        self.failures, self.message = failures, message
        settings = StoreSettings.of(ColourEmbedder(), "float32")
        self.description = json.dumps({"vireid": settings.model_dump()})

    def has_collection(self, name: str, timeout: float) -> bool:
        return True

    def describe_collection(self, name: str, timeout: float) -> dict[str, str]:
        return {"description": self.description}

    def load_collection(self, name: str, timeout: float) -> None:
        pass

    def query(self, name: str, **options: Any) -> list[dict[str, str]]:
        if self.failures:
            self.failures -= 1
            raise MilvusException(101, self.message)
        return [{"id": "a" * 64}]


def opened(client: Moody) -> ServerGallery:
    return ServerGallery(client, "http://somewhere/people", "people")  # type: ignore[arg-type]


def test_a_segment_that_is_being_handed_over_is_waited_for() -> None:
    assert opened(Moody(failures=2)).known(["a" * 64]) == {"a" * 64}


def test_the_wait_for_a_segment_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_gallery, "_HANDOVER", 0.3)
    with pytest.raises(VireidError, match=r"http://somewhere/people: Milvus failed \(.*not loaded"):
        opened(Moody(failures=99)).known(["a" * 64])


def test_any_other_failure_is_told_at_once() -> None:
    client = Moody(failures=1, message="quota exceeded")
    with pytest.raises(VireidError, match="quota exceeded"):
        opened(client).known(["a" * 64])
    assert client.failures == 0


def test_a_lost_connection_is_told_in_its_own_words() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(VireidError) as caught, told("there"):
        channel.unary_unary("/nobody/home")(b"", timeout=5)
    assert "connect" in str(caught.value)
    assert "_InactiveRpcError" not in str(caught.value)
