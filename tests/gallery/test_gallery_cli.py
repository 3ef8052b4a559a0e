"""Every gallery verb on a tiny model and pictures, and what each says to a mistake."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.gallery.galleries import ColourEmbedder, colour_folder, people
from tests.tiny import tiny_run
from vireid.cli import main
from vireid.gallery.store import open_gallery


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models, whose vectors must not meet."""
    folder = tmp_path_factory.mktemp("runs")
    return tiny_run(folder), tiny_run(folder, "training.seed=9", out="another")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Run a verb; return its exit status, what it printed and its last line of errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["gallery", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(exit_.value.code or 0), out, (err.strip().splitlines() or [""])[-1]

    return call


def test_every_verb_on_one_gallery(runs: tuple[Path, Path], said, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run, store = runs[0], tmp_path / "store"
    day, night = colour_folder(tmp_path / "day"), colour_folder(tmp_path / "night", 2)
    for path in night.iterdir():
        path.write_bytes(path.read_bytes() + b" ")
    assert (
        "6 added, 0 already" in said("add", store, day, "--model", run, "--modality", "visible", "--camera", "gate")[1]
    )
    (day / "broken.png").write_text("no image in the gallery")
    code, out, error = said("add", store, day, "--modality", "visible", "--camera", "gate")
    assert (code, "0 added, 6 already there, 1 unreadable" in out) == (1, True)
    assert "broken.png" in error
    night_add = ("add", store, night, "--modality", "infrared", "--camera", "yard", "--time", "2024-05-01T12:00:00Z")
    assert json.loads(said(*night_add, "--track", "t1", "--json")[1])["added"] == 2
    listed = json.loads(said("list", store, "--camera", "yard", "--json")[1])
    assert (listed["gallery"]["images"], len(listed["entries"])) == (8, 2)
    assert "gate" in said("list", store)[1]

    query = (day / "0.png", day / "1.png", "--modality", "visible")
    found = json.loads(said("search", store, query[0], "--modality", "visible", "--top", 3, "--json")[1])
    assert found["matches"][0]["entry"]["name"].endswith("day/0.png")
    assert found["matches"][0]["score"] == pytest.approx(1, abs=2e-3)
    assert len(json.loads(said("search", store, *query, "--top", 500, "--rerank", "--json")[1])["matches"]) == 8
    only = said("search", store, *query, "--not-camera", "gate", "--from", "2024-01-01", "--by-track", "--json")[1]
    (match,) = json.loads(only)["matches"]
    assert len(match["group"]) == 1
    assert "score" in said("search", store, *query, "--html", tmp_path / "answer.html")[1]
    assert "data:image" in (tmp_path / "answer.html").read_text()

    assert "8 images" in said("export", store, tmp_path / "out.parquet")[1]
    assert "8 images, copied and compared" in said("migrate", store, tmp_path / "copy")[1]
    first = listed["entries"][0]["id"]
    assert "1 removed" in said("remove", store, "--id", first[:12])[1]
    assert "7 images, copied and compared (1 more only in the copy)" in said("migrate", store, tmp_path / "copy")[1]
    assert "1 removed" in said("remove", tmp_path / "copy", "--id", first[:12])[1]
    assert "1 removed" in said("remove", tmp_path / "copy", "--camera", "yard", "--to", "2024-06-01")[1]
    assert "compacted" in said("compact", tmp_path / "copy")[1]
    assert said("verify", tmp_path / "copy")[:2] == (0, f"6 images, no problems: {tmp_path / 'copy'}\n")


def test_damage_is_one_line_that_says_what_to_do(runs: tuple[Path, Path], said, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    store, day = tmp_path / "store", colour_folder(tmp_path / "day")
    query = (day / "0.png", "--modality", "visible")
    assert said("add", store, day, "--model", runs[0], "--modality", "visible")[0] == 0
    good = (store / "entries.sqlite").read_bytes()
    (store / "entries.sqlite").write_bytes(good.replace(b"\xff\xd8\xff", b"\xff\xd8\xfe", 1))
    code, out, error = said("verify", store)
    assert (code, "6 images, 1 problems" in out) == (1, True)
    assert re.fullmatch(rf"{store}/entries.sqlite: image [0-9a-f]{{64}}: .* changed on disk; .*", error)
    (store / "entries.sqlite").write_bytes(b"x" * 10_000)
    expected = rf"vireid: {store}/entries.sqlite: damaged \(file is not a database\); restore it from a backup, or .*"
    for verb in (("verify", store), ("list", store), ("search", store, *query), ("remove", store, "--camera", "gate")):
        code, _, error = said(*verb)
        assert code == 2
        assert re.fullmatch(expected, error)


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=768k tmpfs disk || exit 77
vireid gallery add disk/store "$@"
echo "status $?"
mount -o remount,size=16m disk
vireid gallery add disk/store "$@"
"""


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "day").mkdir()
    for number in range(200):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "day" / f"{number}.png")
    if shutil.which("unshare") is None:
        pytest.skip("no small disk can be mounted: unshare is not installed")
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-uc", ON_A_SMALL_DISK, "sh", "day"]
        + ["--model", str(runs[0]), "--modality", "visible"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "status" not in done.stdout:
        pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")
    line = r"^vireid: disk/store/(entries.sqlite|index.db): no space left on the device; free some or write elsewhere$"
    assert len(re.findall(line, done.stderr, re.MULTILINE)) == 1, done.stderr
    assert "Traceback" not in done.stderr
    status, again = done.stdout.splitlines()
    assert status == "status 2"
    added, known = map(int, re.findall(r"(\d+) (?:added|already there)", again))
    assert added > 0
    assert known > 0
    assert added + known == 200


def test_mistakes_are_one_line(runs: tuple[Path, Path], said, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    store, day = tmp_path / "store", colour_folder(tmp_path / "day", 2)
    picture, kind = day / "0.png", ("--modality", "visible")
    (tmp_path / "bad.csv").write_text("file\nx\n")
    future = tmp_path / "future"
    future.mkdir()
    (future / "store.json").write_text('{"format": 99}')
    for arguments, named in (
        (("add", store, day, *kind), "--model"),
        (("list", store), "no gallery there"),
        (("search", store, picture, *kind), "no gallery there"),
        (("list", future), "update vireid"),
        (("list", "http://127.0.0.1:1"), "127.0.0.1:1: Milvus failed"),
        (("list", "http://127.0.0.1:99999/x"), "expected a folder or http"),
        (("list", "http://[::1/x"), "expected a folder or http"),
    ):
        code, _, error = said(*arguments)
        assert (code, named in error) == (2, True), error
    assert said("add", store, day, "--model", runs[0], *kind)[0] == 0
    for arguments, named in (
        (("add", store, day, "--model", runs[1], *kind), "holds vectors of"),
        (("search", store, picture, "--model", runs[1], *kind), "holds vectors of"),
        (("add", store, day), "modality unknown"),
        (("add", store, *kind), "expected images"),
        (("add", store, "--manifest", tmp_path / "bad.csv", *kind), "bad.csv"),
        (("add", store, day, "--boxes", tmp_path / "none.csv", *kind), "none.csv"),
        (("search", store, tmp_path / "bad.csv", *kind), "bad.csv"),
        (("search", store, *kind), "at least one image"),
        (("search", store, picture, *kind, "--top", 0), "top"),
        (("search", store, picture, *kind, "--from", "noon"), "--from"),
        (("remove", store), "say which images"),
        (("remove", store, "--id", "ffffffffffff"), "no image in the gallery"),
        (("export", store, tmp_path / "out.csv"), ".parquet"),
        (("migrate", store, store), "already"),
        (("migrate", store, store / "inner" / "sub"), ": inside the gallery"),
        (("list", store, "--limit", -5), "--limit"),
        (("list", store, "--limit", 10**23), "--limit"),
    ):
        code, _, error = said(*arguments)
        assert (code, named in error) == (2, True), error
    opened = open_gallery(str(store))
    code, _, error = said("list", store)
    assert (code, "another process" in error) == (2, True)
    assert opened.info().images == 2
    opened.close()
    other = open_gallery(str(tmp_path / "other"), create=ColourEmbedder())
    other.add(people(1))
    other.close()
    code, _, error = said("migrate", store, tmp_path / "other")
    assert (code, "holds vectors of" in error) == (2, True)
