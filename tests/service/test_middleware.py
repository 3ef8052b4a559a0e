"""What stands around the routes: roles, tokens, the audit log, faults, limits, and the files of the page."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.gallery.fakes import FakeEmbedder, MemoryGallery
from tests.service.people import filled, picture
from tests.service.requests import files, id_of, one_line, search
from vireid.service.app import ServiceSettings, create_app
from vireid.service.limits import Limits
from vireid.service.tokens import Role, Tokens
from vireid.types import VireidError

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
        later.setattr("vireid.service.tokens.time.time", lambda: 4e9)
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

    monkeypatch.setattr("vireid.service.routes.info_json", fail)
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
    monkeypatch.setattr("vireid.service.app.files", lambda _: tmp_path)
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
