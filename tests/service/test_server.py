"""The service as a real process: its end, its time limits, TLS, and the gallery that speaks to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gallery.conformance import check_gallery
from tests.gallery.fakes import FakeEmbedder, MemoryGallery
from tests.service.people import filled, new_image, picture, process
from vireid.gallery.query import search_groups
from vireid.gallery.records import Where
from vireid.gallery.remote import RemoteGallery, pinned
from vireid.gallery.store import _service
from vireid.service.app import ServiceSettings
from vireid.service.server import Address, _listen, serve
from vireid.service.tokens import Role, Tokens
from vireid.types import VireidError

QUERY = {"query": json.dumps({"modality": "visible", "top": 3})}


def ask(serving: dict[str, Any], seed: int) -> httpx.Response:
    headers = {"Authorization": f"Bearer {serving['token']}"}
    return httpx.post(
        f"{serving['url']}/api/v1/search",
        files=[("images", ("a.png", picture(seed)))],
        data=QUERY,
        headers=headers,
        timeout=60,
        trust_env=False,
    )


def connect(serving: dict[str, Any]) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(serving["url"].rsplit(":", 1)[1])), timeout=10)
    connection.settimeout(10)
    return connection


def received(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def test_memory_and_remote_galleries_conform(tmp_path: Path) -> None:
    check_gallery(MemoryGallery())
    with process(tmp_path / "store", images=0) as (_, serving):
        assert stat.S_IMODE((tmp_path / "store" / "serving.json").stat().st_mode) == 0o600
        gallery = RemoteGallery(serving["url"], serving["token"])
        check_gallery(gallery, 260)  # more than one request adds, and addresses longer than 16 KiB
        gallery.add([new_image(seed, FakeEmbedder()) for seed in range(150)])
        query = new_image(0, FakeEmbedder()).vector[None]
        assert len(gallery.search(query, 1500)) == gallery.info().images
        assert len(search_groups(gallery, query, 60, tracks=True)) == 60
        gallery.close()
        stranger = RemoteGallery(serving["url"], "wrong")
        with pytest.raises(VireidError, match="token"):
            stranger.info()


def test_a_service_that_has_gone_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gallery = RemoteGallery(f"http://127.0.0.1:{free.getsockname()[1]}", "t")
        with pytest.raises(VireidError, match="does not answer") as caught:
            gallery.search(new_image(0, FakeEmbedder()).vector[None], 3, Where())
    assert "\n" not in str(caught.value)


def test_sigterm_finishes_what_was_taken_and_leaves_no_trace(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with process(store, embed_seconds=0.5) as (running, serving), ThreadPoolExecutor(9) as pool:
        assert serving["pid"] == running.pid
        futures = [pool.submit(ask, serving, seed) for seed in range(8)]
        headers = {"Authorization": f"Bearer {serving['token']}"}
        with connect(serving):  # an idle connection does not hold it up
            end = time.monotonic() + 60
            metrics = ""
            while "vireid_requests_inside 8.0" not in metrics and time.monotonic() < end:
                metrics = httpx.get(f"{serving['url']}/metrics", headers=headers, trust_env=False).text
            os.kill(running.pid, signal.SIGTERM)
            answers = [future.result() for future in futures]
        assert [answer.status_code for answer in answers] == [200] * 8
        assert all(len(answer.json()["matches"]) == 3 for answer in answers)
        assert running.wait(60) == 0
        assert running.stderr is not None
        assert running.stderr.read() == ""
    assert sorted(path.name for path in store.iterdir()) == ["audit.jsonl"]
    lines = [json.loads(line) for line in (store / "audit.jsonl").read_text().splitlines()]
    assert [line["what"] for line in lines] == ["search"] * 8


def test_a_gallery_that_hangs_holds_the_end_up_for_a_while_only(tmp_path: Path) -> None:
    with process(tmp_path / "store", limits={"seconds": 0.5}, hang=True) as (running, serving):
        assert ask(serving, 1).status_code == 503
        start = time.monotonic()
        running.terminate()
        assert running.wait(60) == 1
        assert 9 < time.monotonic() - start < 20  # 5 s beyond the limit for connections, 5 s for what runs
        assert running.stderr is not None
        assert "does not end; exiting without it" in running.stderr.read()


def test_slow_and_endless_senders_are_let_go(tmp_path: Path) -> None:
    limits = {"upload": 50_000, "upload_seconds": 0.5, "head_seconds": 1.5}
    with process(tmp_path / "store", limits=limits) as (_, serving):
        head = (
            f"POST /api/v1/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {serving['token']}\r\n"
            "Content-Type: application/json\r\n"
        )
        with connect(serving) as slow:
            slow.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
            answer = received(slow)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"not received within 0.5 s" in answer
        with connect(serving) as long:
            long.sendall(f"{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode())
            for _ in range(6):
                long.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
            assert long.recv(65536).startswith(b"HTTP/1.1 413 ")
        with connect(serving) as silent:
            start = time.monotonic()
            silent.settimeout(15)
            for byte in b"GET / HTTP/1.1\r\nX-Slow: ":
                silent.sendall(bytes([byte]))
            try:
                ended = silent.recv(100) == b""
            except ConnectionResetError:
                ended = True
            assert ended
            assert 1 < time.monotonic() - start < 8
        assert ask(serving, 1).status_code == 200


def test_tls_and_an_address_that_others_reach(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    store = tmp_path / "store"
    store.mkdir()
    text = Tokens(store).add("alice", Role.SEARCH, 1)
    options = {"host": "0.0.0.0", "certificate": str(certificate), "key": str(key)}
    with process(store, **options) as (running, serving):
        assert serving["url"].startswith("https://localhost:")
        gallery = RemoteGallery(serving["url"], text, verify=str(certificate))
        assert gallery.info().images == 12
        with pytest.raises(VireidError, match="admin"):
            gallery.remove(Where(cameras=("c0",)))
        with pytest.raises(VireidError, match="certificate"):
            RemoteGallery(serving["url"], text).info()
        context = ssl.create_default_context(cafile=str(certificate))
        assert httpx.get(f"{serving['url']}/healthz", verify=context, trust_env=False).status_code == 200
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
        assert running.stdout is not None
        assert "#token" not in running.stdout.read()


def test_commands_reach_a_service_whose_certificate_an_authority_gave_to_another_name(tmp_path: Path) -> None:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name = "search.example.org"
    sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    (tmp_path / "names").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
    for command in (
        ["req", "-x509", *curve, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", *curve, "-subj", f"/CN={name}", "-keyout", "key.pem", "-out", "request.pem"],
        ["x509", "-req", "-in", "request.pem", *sign, "-out", "leaf.pem"],
        ["x509", "-req", "-in", "request.pem", *sign, "-out", "other.pem"],
    ):
        subprocess.run(["openssl", *command], cwd=tmp_path, check=True, capture_output=True)
    chain = tmp_path / "chain.pem"
    chain.write_text((tmp_path / "leaf.pem").read_text() + (tmp_path / "ca.pem").read_text())
    store = tmp_path / "store"
    with process(store, certificate=str(chain), key=str(tmp_path / "key.pem")) as (_, serving):
        gallery = _service(store)
        assert gallery is not None
        assert gallery.info().images == 12
        with pytest.raises(VireidError, match="certificate"):  # one of the same authority is not enough
            RemoteGallery(serving["url"], serving["token"], pinned(tmp_path / "other.pem")).info()
        chain.write_text("no certificate")
        with pytest.raises(VireidError, match="restart the service"):
            _service(store)


def test_an_answer_does_not_wait_for_the_acknowledgement_of_its_head() -> None:
    """asyncio sets TCP_NODELAY on connections of sockets that are named as TCP alone."""
    with _listen(Address(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_what_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    embedder, settings = FakeEmbedder(), ServiceSettings(tmp_path)

    def failing(address: Address) -> str:
        with pytest.raises(VireidError) as caught:
            serve(filled(1), embedder, str(tmp_path), address, settings)
        return str(caught.value)

    assert "vireid token add" in failing(Address("0.0.0.0", 0))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "cannot listen" in failing(Address(port=taken.getsockname()[1]))
    assert "PEM" in failing(Address(port=0, certificate=tmp_path / "none", key=tmp_path / "none"))
    for wrong in ({"port": 70_000}, {"certificate": Path("c.pem")}):
        with pytest.raises(VireidError):
            Address(**wrong)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
