"""What is particular to a gallery on a server: its precision, damage there, and a server that goes away in a call."""

from __future__ import annotations

import itertools
import time
from contextlib import nullcontext
from typing import Any, Literal

import pytest
from pymilvus import DataType, MilvusClient

from tests.gallery.galleries import DIMENSION, ColourEmbedder, people
from tests.gallery.relay import Relay
from vireid.gallery.format import StoreSettings
from vireid.gallery.records import Where
from vireid.gallery.server import ServerGallery
from vireid.gallery.store import open_gallery
from vireid.types import VireidError

IMAGES = people(3)
_numbers = itertools.count()


@pytest.fixture
def place(milvus: str) -> str:
    """A filled gallery on a real server."""
    place = f"{milvus}/served{next(_numbers)}"
    gallery = open_gallery(place, create=ColourEmbedder(), dtype="float32")
    gallery.add(IMAGES)
    gallery.close()
    return place


def test_verify_finds_damaged_vectors_and_pictures(place: str, milvus: str) -> None:
    gallery = open_gallery(place)
    assert isinstance(gallery, ServerGallery)
    assert gallery.problems() == []
    ids = [image.entry.id for image in IMAGES]
    with_changes: list[dict[str, Any]] = [
        {"vector": 2 * IMAGES[0].vector},
        {"thumbnail": "bm8gSlBFRw=="},
        {"thumbnail": "no base64"},
        {"modality": 7},
    ]
    rows = [gallery._row(image) | more for image, more in zip(IMAGES, with_changes, strict=False)]
    MilvusClient(milvus).upsert(place.rsplit("/", 1)[1], rows)
    found = gallery.problems()
    assert len(found) == len(rows)
    for id, named in zip(ids, ("length 2", "JPEG", "base64", "Modality"), strict=False):
        (line,) = [line for line in found if id in line]
        assert named in line
        assert "\n" not in line
    gallery.close()


@pytest.mark.parametrize("end", ["closed", "silent"])
def test_a_server_that_goes_away_in_a_call_is_one_line_in_time_and_loses_nothing(
    place: str, milvus: str, monkeypatch: pytest.MonkeyPatch, end: Literal["closed", "silent"]
) -> None:
    for number, call in enumerate(("search", "add")):
        relay = Relay(int(milvus.rsplit(":", 1)[1]))
        gallery = open_gallery(place.replace(milvus, relay.address))
        assert len(gallery.entries()) == len(IMAGES) + number
        with monkeypatch.context() as patch:
            patch.setattr("vireid.gallery.server.TIMEOUT", 2.0)
            patch.setattr("vireid.gallery.server._PATIENCE", 2.0)
            relay.end, start = end, time.monotonic()
            with pytest.raises(
                VireidError, match=f"^{relay.address}.*: Milvus failed .* nothing that was ackn"
            ) as error:
                gallery.search(IMAGES[0].vector[None], 20) if call == "search" else gallery.add(people(1, seed=5))
            assert time.monotonic() - start < 10
            assert "\n" not in str(error.value)
        gallery.close()
        relay.close()
        again = open_gallery(place)
        again.add(people(1, seed=5)[:1])
        assert {image.entry.id for image in IMAGES} <= {entry.id for entry in again.entries()}
        again.close()


class OldOrNew:
    """As much of a client as making a collection needs, on a server of any version."""

    def __init__(self, version: str) -> None:
        self.version, self.kind = version, None

    def get_server_version(self) -> str:
        return self.version

    create_schema = staticmethod(MilvusClient.create_schema)
    prepare_index_params = staticmethod(MilvusClient.prepare_index_params)

    def create_collection(self, name: str, schema: Any, **options: Any) -> None:
        self.kind = next(field.dtype for field in schema.fields if field.name == "vector")


@pytest.mark.parametrize(
    ("version", "dtype", "kept"),
    [
        ("v2.3.5", "float16", "float32"),
        ("2.2.9-lite", "float16", "float32"),
        ("unknown", "float16", "float32"),
        ("v2.3.5", "float32", "float32"),
        ("v2.4.0", "float16", "float16"),
        ("2.10.1-dev", "float16", "float16"),
        ("3.0", "float16", "float16"),
    ],
)
def test_half_precision_where_the_server_can_index_it(version: str, dtype: Any, kept: str) -> None:
    client: Any = OldOrNew(version)
    settings = StoreSettings.of(ColourEmbedder(), dtype)
    warned = pytest.warns(UserWarning, match=f"{version} cannot index float16; vectors are float32")
    with warned if kept != dtype else nullcontext():
        made = ServerGallery.create(client, "http://host:19530", "people", settings)
    assert made.dtype == kept
    assert client.kind == (DataType.FLOAT16_VECTOR if kept == "float16" else DataType.FLOAT_VECTOR)


def test_an_old_server_keeps_float32_and_says_so(milvus: str) -> None:
    with pytest.warns(UserWarning, match="cannot index float16"):
        gallery = open_gallery(f"{milvus}/half{next(_numbers)}", create=ColourEmbedder(), dtype="float16")
    gallery.add(IMAGES)
    assert (gallery.info().dtype, gallery.info().dimension) == ("float32", DIMENSION)
    assert (gallery.vectors([IMAGES[5].entry.id])[0] == IMAGES[5].vector).all()
    assert gallery.remove(Where(cameras=("c1",))) == 3
    gallery.close()
