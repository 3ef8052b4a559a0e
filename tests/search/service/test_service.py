"""Every route of the service in process: answers, roles, tokens, and a gallery that fails."""

from __future__ import annotations

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image

from tests.search.fakes import FakeEmbedder, MemoryGallery
from tests.search.service.people import filled, new_image, picture
from vireid.search.asking import ask
from vireid.search.auth import Role, Tokens
from vireid.search.limits import Limits
from vireid.search.records import NewImage, Where
from vireid.search.service import ServiceSettings, create_app
from vireid.search.wire import decode, encode
from vireid.types import Modality, VireidError

LAST_INSTANT = "9999-12-31T23:59:59.999999Z"
"""Becomes the year 10000 in seconds of double precision."""


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
        answer, _ = ask(memory, model, tmp_path, [str(tmp_path / "a.png")], Modality.VISIBLE, **more)
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


ROUTES = [
    ("GET", "/api/v1/gallery", Role.SEARCH),
    ("POST", "/api/v1/search", Role.SEARCH),
    ("GET", "/api/v1/images", Role.SEARCH),
    ("POST", "/api/v1/known", Role.SEARCH),
    ("POST", "/api/v1/vectors/get", Role.SEARCH),
    ("GET", f"/api/v1/images/{'0' * 64}/thumbnail", Role.SEARCH),
    ("GET", f"/api/v1/images/{'0' * 64}/heatmap", Role.SEARCH),
    ("POST", "/api/v1/images", Role.WRITE),
    ("POST", "/api/v1/vectors", Role.WRITE),
    ("POST", "/api/v1/delete", Role.ADMIN),
    ("GET", "/api/v1/audit", Role.ADMIN),
]


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
def test_each_route_lets_in_its_role_and_those_above(
    client: TestClient, tmp_path: Path, method: str, path: str, needed: Role
) -> None:
    for role in Role:
        text = Tokens(tmp_path).add(f"of-{role}", role, 1)
        response = client.request(method, path, headers={"Authorization": f"Bearer {text}"})
        if role < needed:
            assert str(needed) in one_line(response, 403)
        else:
            assert response.status_code not in (401, 403)
    for header in ("", "Bearer wrong", "Bearer", "Basic dTpw", "Bearer " + "x" * 5000):
        response = client.request(method, path, headers={"Authorization": header})
        assert "token" in one_line(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


def test_every_api_route_is_in_that_table(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    described = {(m.upper(), p.replace("{id}", "0" * 64)) for p in paths if p.startswith("/api/") for m in paths[p]}
    assert described == {(method, path) for method, path, _ in ROUTES}


def test_expired_and_revoked_tokens_are_refused_at_once(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens(tmp_path)
    header = {"Authorization": f"Bearer {tokens.add('alice', Role.SEARCH, 1)}"}
    assert client.get("/api/v1/gallery", headers=header).json()["role"] == "search"
    with monkeypatch.context() as later:
        later.setattr("vireid.search.auth.time.time", lambda: 4e9)
        assert "expired" in one_line(client.get("/api/v1/gallery", headers=header), 401)
    tokens.revoke("alice")
    assert "revoked" in one_line(client.get("/api/v1/gallery", headers=header), 401)
    (tmp_path / "tokens.json").write_text("{")
    one_line(client.get("/api/v1/gallery", headers=header), 503)


def test_audit_says_who_did_what_and_holds_no_image_or_token(client: TestClient, tmp_path: Path) -> None:
    text = Tokens(tmp_path).add("alice", Role.ADMIN, 1)
    client.headers["Authorization"] = f"Bearer {text}"
    search(client, picture(3), where={"cameras": ["c0"]})
    client.post("/api/v1/images", files=files(picture(50)), data={"about": '{"modality": "visible"}'})
    client.post("/api/v1/delete", json={"cameras": ["c1"]})
    client.get("/api/v1/images", params={"cameras": ["c0", "c2"], "limit": 5})
    client.post("/api/v1/vectors/get", json={"ids": [id_of(2), id_of(3)]})
    client.post("/api/v1/vectors/get", json={"ids": []})
    lines = client.get("/api/v1/audit").json()["lines"]
    assert [line["what"] for line in lines[:5]] == ["search", "add", "added", "delete", "deleted"]
    assert [line["what"] for line in lines[5:]] == ["list", "vectors", "vectors"]
    assert {line["who"] for line in lines} == {"alice"}
    assert lines[0]["images"] == [id_of(3)]
    assert lines[0]["where"] == {"cameras": ["c0"]}
    assert lines[1]["images"] == [id_of(50)]
    assert lines[4]["images"] == 4
    assert (lines[5]["where"], lines[5]["found"]) == ({"cameras": ["c0", "c2"]}, 5)
    assert [line["found"] for line in lines[6:]] == [2, 0]
    written = (tmp_path / "audit.jsonl").read_text()
    assert text not in written
    assert "base64" not in written
    assert len(client.get("/api/v1/audit", params={"limit": 2}).json()["lines"]) == 2


def test_what_cannot_be_logged_does_not_happen(client: TestClient, memory: MemoryGallery, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    assert "audit" in one_line(client.post("/api/v1/delete", json={"cameras": ["c1"]}), 503)
    assert "audit" in one_line(search(client, picture(3)), 503)
    assert "audit" in one_line(client.get("/api/v1/images"), 503)
    assert "audit" in one_line(client.post("/api/v1/vectors/get", json={"ids": [id_of(3)]}), 503)
    assert len(memory.entries()) == 12


@pytest.mark.parametrize(
    "broken", [VireidError("/srv/store: no space left on the device"), RuntimeError("/srv/secret"), TimeoutError()]
)
def test_a_gallery_that_fails_is_one_line_without_its_paths(
    client: TestClient, memory: MemoryGallery, broken: Exception
) -> None:
    client.get("/api/v1/gallery")
    memory.broken = broken
    for response in (
        search(client, picture(3)),
        client.get("/api/v1/images"),
        client.post("/api/v1/delete", json={"cameras": ["c1"]}),
        client.post("/api/v1/images", files=files(picture(50)), data={"about": '{"modality": "visible"}'}),
    ):
        message = one_line(response, 503)
        assert "srv" not in message
        assert "gallery" in message
    memory.broken = None
    assert search(client, picture(3)).status_code == 200


def test_a_fault_of_the_service_is_a_500_in_one_line_with_all_headers(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/srv/secret")

    monkeypatch.setattr("vireid.search.routes.info_json", fail)
    response = client.get("/api/v1/gallery")
    assert "secret" not in one_line(response, 500)
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_gallery_that_takes_too_long_is_a_503(memory: MemoryGallery, model: FakeEmbedder, tmp_path: Path) -> None:
    app = create_app(memory, model, ServiceSettings(tmp_path, "s", limits=Limits(seconds=0.2)))
    with TestClient(app, headers={"Authorization": "Bearer s"}) as client:
        memory.seconds = 0.6
        assert "0.2 s" in one_line(client.get("/api/v1/images"), 503)
        memory.seconds = 0.0


def test_requests_beyond_the_queue_get_429_and_the_others_their_answer(tmp_path: Path) -> None:
    slow = FakeEmbedder(0.3)
    app = create_app(filled(12, slow), slow, ServiceSettings(tmp_path, "s", limits=Limits(queue=4)))
    with TestClient(app, headers={"Authorization": "Bearer s"}) as client, ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda seed: search(client, picture(seed)), range(12)))
        refused = [response for response in responses if response.status_code == 429]
        answered = [seed for seed, response in enumerate(responses) if response.status_code == 200]
        assert len(refused) + len(answered) == 12
        assert len(refused) >= 4
        assert len(answered) >= 4
        for response in refused:
            assert "try again" in one_line(response, 429)
            assert 1 <= int(response.headers["retry-after"]) <= 60
        assert client.get("/healthz").status_code == 200
        assert search(client, picture(1)).status_code == 200  # the places are free again


def test_a_queue_without_places_is_refused_at_the_start() -> None:
    with pytest.raises(VireidError, match="queue: expected at least 1"):
        Limits(queue=0)


def test_concurrent_searches_share_batches_and_answer_as_alone(client: TestClient, model: FakeEmbedder) -> None:
    def ask(seed: int) -> list[tuple[str, float]]:
        modality = "visible" if seed % 3 else "infrared"
        matches = search(client, picture(seed), modality=modality, top=5).json()["matches"]
        return [(match["entry"]["id"], round(match["score"], 5)) for match in matches]

    alone = [ask(seed) for seed in range(24)]
    model.batches.clear()
    model.seconds = 0.05
    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(ask, range(24))) == alone
    assert sum(model.batches) == 24
    assert len(model.batches) < 16


def test_health_readiness_and_metrics(client: TestClient, memory: MemoryGallery) -> None:
    del client.headers["Authorization"]
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    client.get("/nothing/at/all")
    text = client.get("/metrics").text
    assert 'vireid_requests_total{method="GET",route="/readyz",status="200"} 1.0' in text
    assert 'route="other",status="404"' in text
    assert "nothing" not in text
    one_line(client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.9"}), 401)
    memory.broken = VireidError("away")
    client.app.state.service.engine._info = None  # type: ignore[attr-defined]
    one_line(client.get("/readyz"), 503)
    assert client.get("/healthz").status_code == 200


def test_answers_carry_security_headers_and_no_cors(client: TestClient) -> None:
    for path in ("/healthz", "/api/v1/gallery", "/nothing", "/docs"):
        headers = client.get(path, headers={"Origin": "https://elsewhere.example"}).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


def test_the_description_is_a_page_without_other_sites(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "/api/v1/search" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page


def test_the_page_comes_from_memory_and_no_other_file_does(
    memory: MemoryGallery, model: FakeEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<title>page</title>")
    (folder / "app.js").write_text("1")
    monkeypatch.setattr("vireid.search.service.files", lambda _: tmp_path)
    app = create_app(memory, model, ServiceSettings(tmp_path, "s"))
    (folder / "later.js").write_text("2")
    with TestClient(app) as client:
        assert client.get("/").text == "<title>page</title>"
        script = client.get("/static/app.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.headers["cache-control"] == "no-cache"
        for path in ("later.js", "..%2ftokens.json", "%2e%2e%2faudit.jsonl", "%2fetc%2fpasswd", "%2e%2e"):
            one_line(client.get(f"/static/{path}"), 404)


def test_a_gallery_of_another_model_is_refused(memory: MemoryGallery, tmp_path: Path) -> None:
    other = FakeEmbedder()
    other.fingerprint = "0" * 64
    with pytest.raises(VireidError, match="--model"):
        create_app(memory, other, ServiceSettings(tmp_path))
