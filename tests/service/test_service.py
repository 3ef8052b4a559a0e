"""Every route of the service in process: what it answers."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image

from tests.gallery.fakes import FakeEmbedder, MemoryGallery
from tests.service.conftest import SESSION
from tests.service.people import new_image, picture
from tests.service.requests import files, id_of, one_line, search
from vireid.deploy.load import load_model
from vireid.gallery import search as search_gallery
from vireid.gallery.records import NewImage, Where
from vireid.gallery.schemas import decode, encode
from vireid.service.app import ServiceSettings, create_app
from vireid.types import Modality

LAST_INSTANT = "9999-12-31T23:59:59.999999Z"
"""Becomes the year 10000 in seconds of double precision."""


def test_search_finds_the_image_that_is_in_with_its_picture(client: TestClient) -> None:
    answer = search(client, picture(3), heatmaps=True).json()
    best = answer["matches"][0]
    assert best["entry"]["id"] == id_of(3)
    assert best["entry"]["time"] == "2023-11-14T22:13:23Z"
    assert best["score"] == pytest.approx(1, abs=1e-5)
    assert answer["images"] == 12
    scores = [match["score"] for match in answer["matches"]]
    assert scores == sorted(scores, reverse=True)
    thumbnail = base64.b64decode(best["thumbnail"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(thumbnail)).height == 128
    heat = base64.b64decode(answer["queries"][0]["heatmap"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(heat)).size == (24, 48)


def test_search_by_vectors_examples_and_images_together_is_the_gallery_s_own(
    client: TestClient, memory: MemoryGallery, model: FakeEmbedder
) -> None:
    vectors = np.stack([new_image(seed, model).vector for seed in (1, 5, 7)])
    expected = [match.entry.id for match in memory.search(vectors, 4)]
    plain = client.post("/api/v1/search", json={"vectors": encode(vectors), "top": 4, "thumbnails": False}).json()
    assert [match["entry"]["id"] for match in plain["matches"]] == expected
    assert plain["matches"][0]["thumbnail"] is None
    mixed = search(client, picture(1), top=4, vectors=encode(vectors[2]), examples=[id_of(5)]).json()
    assert [match["entry"]["id"] for match in mixed["matches"]] == expected


def test_search_leaves_out_what_was_judged_wrong_and_filters(client: TestClient) -> None:
    first = [match["entry"]["id"] for match in search(client, picture(3), top=4).json()["matches"]]
    left = search(client, picture(3), top=3, **{"not": [first[0]]}).json()["matches"]
    assert [match["entry"]["id"] for match in left] == first[1:4]
    where = {"cameras": ["c1"], "since": "2023-11-14T22:13:24", "until": "2023-11-14T22:13:30Z"}
    found = search(client, picture(3), top=9, where=where).json()["matches"]
    assert sorted(match["entry"]["name"] for match in found) == ["4.png", "7.png"]


def test_matches_of_one_track_and_camera_are_grouped(client: TestClient) -> None:
    matches = search(client, picture(3), top=12, group_by_track=True).json()["matches"]
    assert len(matches) == 6
    for match in matches:
        together = [match, *match["group"]]
        assert len({(one["entry"]["camera"], one["entry"]["track"]) for one in together}) == 1
        assert [one["score"] for one in together] == sorted((one["score"] for one in together), reverse=True)
    assert sum(1 + len(match["group"]) for match in matches) == 12


def test_tracks_are_whole_and_as_many_as_wanted_and_command_and_service_agree(
    client: TestClient, memory: MemoryGallery, model: FakeEmbedder, tmp_path: Path
) -> None:
    memory.remove(Where(modality=Modality.VISIBLE))
    memory.remove(Where(modality=Modality.INFRARED))
    looks = {track: [new_image(100 * track + copy, model) for copy in range(12)] for track in range(12)}
    for track, images in looks.items():
        vectors = np.stack([images[0].vector + 0.05 * image.vector for image in images])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for image, vector in zip(images, vectors, strict=True):
            entry = replace(image.entry, camera=f"c{track % 2}", track=f"t{track // 2}")
            memory.add([NewImage(entry, vector, image.thumbnail)])
    last = looks[0][7]  # one image of the track is like nothing
    memory.remove(Where(ids=(last.entry.id,)))
    memory.add([NewImage(replace(last.entry, camera="c0", track="t0"), -looks[0][0].vector, last.thumbnail)])
    (tmp_path / "a.png").write_bytes(picture(0))
    for top in (1, 5, 12):
        served = search(client, picture(0), modality="visible", top=top, group_by_track=True).json()["matches"]
        groups = [[match, *match["group"]] for match in served]
        assert [len(group) for group in groups] == [12] * top
        more = {"top": top, "where": Where(), "rerank": False, "tracks": True}
        answer = search_gallery(memory, model, tmp_path / "a.png", Modality.VISIBLE, **more)
        ids = [[match.entry.id for match in group] for group in answer.groups]
        assert [[match["entry"]["id"] for match in group] for group in groups] == ids
    assert last.entry.id in ids[0]


def test_a_search_beyond_a_thousand_has_pictures_of_the_first(client: TestClient, memory: MemoryGallery) -> None:
    image = memory.entries()[0]
    more = [replace(image, id=f"{number:064x}") for number in range(1100)]
    vector, thumbnail = memory.vectors([image.id])[0], memory.thumbnail(image.id)
    memory.add([NewImage(entry, vector, thumbnail) for entry in more])
    matches = search(client, picture(3), top=1050).json()["matches"]
    assert [match["thumbnail"] is None for match in matches] == [False] * 1000 + [True] * 50


def test_a_search_needs_something_to_search_for(client: TestClient) -> None:
    assert "nothing to search for" in one_line(client.post("/api/v1/search", json={}), 422)
    nothing = client.post("/api/v1/search", files=files(picture(0)), data={"query": "{}"})
    assert "query.modality" in one_line(nothing, 422)
    assert "not in the gallery" in one_line(client.post("/api/v1/search", json={"examples": ["0" * 64]}), 404)
    assert "query.top" in one_line(search(client, picture(0), top=10_001), 422)
    assert "query.tpo" in one_line(search(client, picture(0), tpo=3), 422)
    assert "vectors" in one_line(client.post("/api/v1/search", json={"vectors": "AAAA"}), 422)
    nan = encode(np.full(FakeEmbedder.dimension, np.nan))
    assert "finite" in one_line(client.post("/api/v1/search", json={"vectors": nan}), 422)


def test_thresholds_are_those_of_the_model_s_evaluation_by_direction(client: TestClient) -> None:
    thresholds = client.get("/api/v1/gallery").json()["thresholds"]
    assert thresholds == {"visible": {"0.001": 0.5}, "infrared": {"0.001": 0.6}}


def test_added_images_are_found_and_known_ones_counted(client: TestClient, memory: MemoryGallery) -> None:
    about = json.dumps({"modality": "visible", "camera": "new", "time": "2024-01-01T00:00:00Z", "track": "t"})
    sent = files(picture(20), picture(3), picture(20), b"no image", picture(21))
    answer = client.post("/api/v1/images", files=sent, data={"about": about}).json()
    assert (answer["added"], answer["known"]) == (2, 2)
    assert answer["ids"] == [id_of(20), id_of(3), id_of(20), id_of(21)]
    assert "not an image" in answer["failed"][0]["error"]
    assert memory.info().cameras["new"] == 2
    assert client.get("/api/v1/gallery").json()["images"] == 14
    assert search(client, picture(20), modality="visible").json()["matches"][0]["entry"]["camera"] == "new"


def test_about_is_one_for_all_or_one_for_each(client: TestClient, memory: MemoryGallery) -> None:
    each = [{"modality": "visible", "camera": "a"}, {"modality": "infrared", "camera": "b"}]
    sent = files(picture(30), picture(31))
    assert client.post("/api/v1/images", files=sent, data={"about": json.dumps(each)}).json()["added"] == 2
    assert memory.entries(Where(cameras=("b",)))[0].modality == Modality.INFRARED
    assert "about" in one_line(client.post("/api/v1/images", files=sent, data={"about": json.dumps(each[:1])}), 422)
    assert "about" in one_line(client.post("/api/v1/images", files=sent), 422)
    nothing = client.post("/api/v1/images", files={"about": (None, "{}")})
    assert "images" in one_line(nothing, 422)


def test_listing_pages_through_all_entries(client: TestClient, memory: MemoryGallery) -> None:
    found, after = [], ""
    while after is not None:
        page = client.get("/api/v1/images", params={"limit": 5, "after": after}).json()
        found += [entry["id"] for entry in page["entries"]]
        after = page["next"]
    assert found == [entry.id for entry in memory.entries()]
    some = client.get("/api/v1/images", params={"cameras": ["c0", "c1"], "modality": "visible"}).json()["entries"]
    assert len(some) == len(memory.entries(Where(cameras=("c0", "c1"), modality=Modality.VISIBLE)))
    assert "limit" in one_line(client.get("/api/v1/images", params={"limit": 0}), 422)
    assert "camera" in one_line(client.get("/api/v1/images", params={"camera": "c0"}), 422)


def test_pictures_known_ids_and_vectors(client: TestClient, model: FakeEmbedder) -> None:
    id, stranger = id_of(2), "f" * 64
    thumbnail = client.get(f"/api/v1/images/{id}/thumbnail")
    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(thumbnail.content)).format == "JPEG"
    assert Image.open(io.BytesIO(client.get(f"/api/v1/images/{id}/heatmap").content)).format == "PNG"
    for what in ("thumbnail", "heatmap"):
        assert "not in the gallery" in one_line(client.get(f"/api/v1/images/{stranger}/{what}"), 404)
        one_line(client.get(f"/api/v1/images/..%2f..%2fetc%2fpasswd/{what}"), 404)
        one_line(client.get(f"/api/v1/images/{'g' * 64}/{what}"), 422)
    assert client.post("/api/v1/known", json={"ids": [id, stranger]}).json() == {"known": [id]}
    vectors = client.post("/api/v1/vectors/get", json={"ids": [id, id_of(1)]}).json()["vectors"]
    assert np.allclose(decode(vectors, model.dimension, ""), [new_image(seed, model).vector for seed in (2, 1)])
    one_line(client.post("/api/v1/vectors/get", json={"ids": [stranger]}), 404)


def test_vectors_of_another_model_and_false_thumbnails_are_refused(client: TestClient, model: FakeEmbedder) -> None:
    image = new_image(40, model)
    entry = {"id": image.entry.id, "name": "40.png", "modality": "visible"}
    good = {
        "entry": entry,
        "vector": encode(image.vector),
        "thumbnail": base64.b64encode(image.thumbnail).decode(),
    }

    def post(fingerprint: str = model.fingerprint, **changes: Any) -> Response:
        return client.post("/api/v1/vectors", json={"fingerprint": fingerprint, "images": [good | changes]})

    assert "fingerprint" in one_line(post("0" * 64), 409)
    html = base64.b64encode(b"<script>alert(1)</script>").decode()
    assert "images.0.thumbnail" in one_line(post(thumbnail=html), 422)
    assert "images.0.thumbnail" in one_line(post(thumbnail=good["thumbnail"][:400]), 422)
    assert "images.0.vector" in one_line(post(vector="!"), 422)
    assert "images.0.entry.id" in one_line(post(entry=entry | {"id": "../../x"}), 422)
    assert post().json() == {"added": 1}


def test_delete_needs_a_restriction_and_is_final(client: TestClient) -> None:
    assert "restriction" in one_line(client.post("/api/v1/delete", json={}), 422)
    assert client.get(f"/api/v1/images/{id_of(3)}/thumbnail").status_code == 200
    assert client.post("/api/v1/delete", json={"ids": [id_of(3)]}).json() == {"removed": 1}
    assert id_of(3) not in [match["entry"]["id"] for match in search(client, picture(3), top=50).json()["matches"]]
    one_line(client.get(f"/api/v1/images/{id_of(3)}/thumbnail"), 404)
    assert client.get("/api/v1/gallery").json()["images"] == 11


@pytest.mark.parametrize(
    "edge", [{"since": "0001-01-01T00:00:00+23:59"}, {"until": "9999-12-31T23:59:59-23:59"}, {"until": LAST_INSTANT}]
)
def test_a_time_beyond_the_calendar_is_one_line(client: TestClient, edge: dict[str, str]) -> None:
    (field,) = edge
    for response in (
        search(client, picture(0), where=edge),
        client.get("/api/v1/images", params=edge),
        client.post("/api/v1/delete", json=edge),
    ):
        assert f"{field}: expected a time from 1970 on" in one_line(response, 422)


def test_a_deletion_that_was_meant_otherwise_is_refused(client: TestClient, memory: MemoryGallery) -> None:
    assert "ids" in one_line(client.post("/api/v1/delete", json={"ids": [], "cameras": ["c0"]}), 422)
    assert "where.ids" in one_line(search(client, picture(0), where={"ids": []}), 422)
    assert one_line(client.post("/api/v1/delete", json=["c0"]), 422).startswith("body: ")
    assert len(memory.entries()) == 12


def test_a_model_from_elsewhere_is_served_and_has_no_heat_maps(tmp_path: Path) -> None:
    fake = FakeEmbedder()
    model = load_model(fake.embed, {"height": fake.height, "width": fake.width, "name": "theirs"})
    gallery = MemoryGallery(model)  # type: ignore[arg-type]
    gallery.add([new_image(seed, model) for seed in range(4)])  # type: ignore[arg-type]
    with TestClient(create_app(gallery, model, ServiceSettings(tmp_path, SESSION)), client=("127.0.0.1", 1)) as client:
        client.headers["Authorization"] = f"Bearer {SESSION}"
        assert client.get("/api/v1/gallery").json()["heatmaps"] is False
        answer = search(client, picture(3)).json()
        assert answer["matches"][0]["entry"]["id"] == id_of(3)
        assert answer["answered_by"] == "theirs, cosine"
        refused = one_line(search(client, picture(3), heatmaps=True), 409)
        assert "heatmaps: this model has no response maps" in refused
        assert "heatmaps" in one_line(client.get(f"/api/v1/images/{id_of(3)}/heatmap"), 409)
