"""Find this person, from a model to an answer: add, kill in the middle, verify, and ask in three ways that agree."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.gallery.milvus_server import milvus_server
from tests.service.page.desk import Desk
from vireid.gallery.store import open_gallery
from vireid.types import VireidError

PROGRAM = Path(sys.executable).with_name("vireid")
DAY = ("cam1", "cam2", "cam4", "cam5")
TOP = 10


def vireid(*arguments: object) -> str:
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def manifest(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All images of the day cameras, with camera and modality; written four times, each copy of other bytes."""
    folder = tmp_path_factory.mktemp("day")
    with (folder / "day.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "modality", "camera"])
        for path in sorted(p for camera in DAY for p in (demo.with_name("demo-data") / camera).rglob("*.jpg")):
            for copy in range(4):
                target = folder / f"{path.parts[-3]}-{path.parts[-2]}-{path.stem}-{copy}.jpg"
                target.write_bytes(path.read_bytes() + bytes(copy))  # decoders ignore what follows the end
                writer.writerow([target.name, "visible", path.parts[-3]])
    return folder / "day.csv"


@pytest.fixture(scope="module")
def store(demo: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery whose first add was killed in the middle."""
    store = tmp_path_factory.mktemp("store") / "yard"

    def acknowledged() -> int:
        try:
            with sqlite3.connect(f"file:{store}/entries.sqlite?mode=ro", uri=True) as connection:
                return int(connection.execute("SELECT count(*) FROM images").fetchone()[0])
        except sqlite3.Error:
            return 0

    fill(store, manifest, demo, acknowledged)
    return store


def fill(place: object, manifest: Path, model: Path, acknowledged: Callable[[], int]) -> None:
    """Add a manifest's images, kill the command in the middle, and add them again."""
    add = ["gallery", "add", place, "--manifest", manifest, "--model", model]
    everything = len(manifest.read_text().splitlines()) - 1
    with subprocess.Popen([PROGRAM, *map(str, add)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            process.send_signal(signal.SIGSTOP)  # or it would be done before a server has counted
            if acknowledged():
                break
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "the add ended before it was killed"
    verified = vireid("gallery", "verify", place)
    assert "no problems" in verified
    assert 0 < int(verified.split()[0]) < everything
    vireid(*add)
    assert f"{everything} images, no problems" in vireid("gallery", "verify", place)


@contextmanager
def serving(store: object, model: Path, log: Path) -> Iterator[tuple[str, str]]:
    """Run the service on a gallery; its address and the token that it printed."""
    command = [PROGRAM, "serve", store, "--model", model, "--port", "0"]
    with log.open("w") as output, subprocess.Popen(list(map(str, command)), stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + 120
            while "#token=" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            address = next(word for word in log.read_text().split() if "#token=" in word)
            url, token = address.split("/#token=")
            yield url, token
        finally:
            process.terminate()
            assert process.wait(60) == 0, log.read_text()


@pytest.fixture(scope="module")
def query(demo: Path) -> Path:
    return next(iter(sorted((demo.with_name("demo-data") / "cam3").rglob("*.jpg"))))


def by_command(store: object, query: Path) -> list[dict[str, Any]]:
    command = ["gallery", "search", store, query, "--modality", "infrared", "--top", TOP, "--json"]
    return list(json.loads(vireid(*command))["matches"])


def by_rest(url: str, token: str, query: Path) -> list[dict[str, Any]]:
    wanted = {"modality": "infrared", "top": TOP}
    answer = httpx.post(
        f"{url}/api/v1/search",
        headers={"Authorization": f"Bearer {token}"},
        files=[("images", ("night.jpg", query.read_bytes(), "image/jpeg"))],
        data={"query": json.dumps(wanted)},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return list(answer.json()["matches"])


def scores(matches: list[dict[str, Any]]) -> list[float]:
    return [round(match["score"], 3) for match in matches]


def agree(ours: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """The same people at the same scores: the copies of one image tie, so their order is free."""
    assert scores(ours) == pytest.approx(scores(others), abs=2e-3)
    assert len(ours) == len(others) == TOP


def in_three_ways(place: object, query: Path, url: str, token: str, browser: Browser) -> list[dict[str, Any]]:
    """Ask the gallery by command, its service by REST and at its page; return the one answer of all."""
    found = by_command(place, query)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    desk = Desk(context, url).enter(token)
    desk.give({"name": "night.jpg", "mimeType": "image/jpeg", "buffer": query.read_bytes()})
    desk.page.locator("#query [name=among][value=visible]").check(force=True)
    desk.page.select_option("#top", str(TOP))
    desk.search()
    shown = desk.cards()
    context.close()
    agree(found, by_rest(url, token, query))
    agree(found, shown)
    assert all(card["loaded"] for card in shown)
    assert desk.faults == []
    return found


def test_command_service_and_page_give_one_answer(
    demo: Path, store: Path, query: Path, tmp_path: Path, browser: Browser
) -> None:
    alone = by_command(store, query)
    with serving(store, demo, tmp_path / "log") as (url, token):
        through = in_three_ways(store, query, url, token, browser)  # the service's now: the command asks it
        added = vireid("gallery", "add", store, query, "--model", demo, "--modality", "infrared", "--camera", "night")
        assert "1 added" in added
    agree(alone, through)
    assert not (store / "serving.json").exists()
    assert "1 removed" in vireid("gallery", "remove", store, "--camera", "night")


@pytest.mark.slow
def test_the_same_on_a_real_server(
    demo: Path, manifest: Path, store: Path, query: Path, tmp_path: Path, browser: Browser
) -> None:
    with milvus_server(tmp_path / "milvus") as uri:
        place = f"{uri}/yard"

        def acknowledged() -> int:
            deadline = time.monotonic() + 5
            while True:
                try:
                    with closing(open_gallery(place)) as gallery:
                        return gallery.info().images
                except VireidError as error:  # none yet, or half made; what is there may take a moment to be counted
                    if "no gallery" in str(error) or time.monotonic() > deadline:
                        return 0

        fill(place, manifest, demo, acknowledged)
        with serving(place, demo, tmp_path / "log") as (url, token):
            agree(by_command(store, query), in_three_ways(place, query, url, token, browser))


def test_an_exported_model_finds_the_same(demo: Path, store: Path, query: Path, tmp_path: Path) -> None:
    exported = tmp_path / "exported"
    vireid("export", demo, "--format", "onnx", "--out", exported)
    shutil.copytree(store, copy := tmp_path / "copy")
    command = ["gallery", "search", copy, query, "--modality", "infrared", "--top", TOP, "--json", "--model", exported]
    agree(by_command(store, query), list(json.loads(vireid(*command))["matches"]))
