"""The search: the best recipe, shared studies, killed processes, bad input, and no test image."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny import OVERRIDES
from tests.trees import write_sysu
from vireid.data import pixels
from vireid.recipes import load_recipe
from vireid.studies import tuning
from vireid.studies.tuning import tune
from vireid.types import VireidError

SMALL = (*OVERRIDES, "schedule.epochs=1", "data.images=1")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    return write_sysu(tmp_path / "set", train=(1, 2, 3, 4, 10, 11), test=(6, 7), images=2, size=(48, 32))


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def command(root: Path, out: Path, trials: int, *more: str) -> subprocess.Popen[str]:
    line = ["tune", "small", *SMALL, *more, "--data", str(root), "--trials", str(trials), "--out", str(out)]
    code = "import sys; from vireid.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, *line], stderr=subprocess.PIPE, text=True, stdout=subprocess.PIPE
    )


def test_writes_the_best_and_reads_no_test_image(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, opened = pixels.read_bytes, list[str]()

    def guarded(path: Path) -> bytes:
        opened.append(path.parent.name)
        assert path.parent.name not in ("0006", "0007")
        return original(path)

    monkeypatch.setattr(pixels, "read_bytes", guarded)
    best = tune("small", root, tmp_path / "out", 2, overrides=(*SMALL, "loss.overlap.weight=0.25"))
    assert set(opened) == {"0001", "0002", "0003", "0004", "0005", "0010", "0011"}  # 5 is of SYSU's val list
    recipe, found = load_recipe(str(best)), rows(tmp_path / "out")
    assert recipe.training.validation == 0
    assert recipe.loss.overlap.weight == 0.25
    assert "loss.overlap.weight" not in found[0]
    done = [row for row in found if row["state"] == "complete"]
    top = max(done, key=lambda row: float(row["map"]))
    assert recipe.schedule.backbone_factor == pytest.approx(float(top["schedule.backbone_factor"]))
    for row in found:
        assert bool(row.get("model.weakening.alpha")) == (row["model.weakening.matrix"] == "D1")
        assert bool(row.get("model.weakening.beta")) == (row["model.weakening.matrix"] == "D2")
    assert (tmp_path / "out" / "history.png").is_file()
    before = len(opened)
    tune("small", root, tmp_path / "out", 2, overrides=(*SMALL, "loss.overlap.weight=0.25"))
    assert len(opened) == before  # nothing was left to do
    with pytest.raises(VireidError, match="another recipe or data set"):
        tune("small", root, tmp_path / "out", 3, overrides=SMALL)


def test_two_processes_share_a_study_and_a_killed_one_is_made_good(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = command(root, out, 3)
    deadline = time.monotonic() + 60
    while not list((out / "trials").glob("*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    both = [command(root, out, 3) for _ in range(2)]
    for process in both:
        assert process.wait(120) == 0, process.communicate()
    states = [row["state"] for row in rows(out)]
    assert "running" not in states
    assert sum(state in ("complete", "pruned") for state in states) == 3
    assert states.count("fail") == 1


def test_a_database_holds_the_study(root: Path, tmp_path: Path) -> None:
    tune("small", root, tmp_path / "out", 1, f"sqlite:///{tmp_path / 'study.db'}", (*SMALL, "model.branches=1"))
    assert not [name for name in rows(tmp_path / "out")[0] if name.startswith("loss.overlap")]


def test_bad_input_is_one_line(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.log").write_text("not a study\n")
    for recipe, trials, storage, message in (
        ("smal", 1, None, "did you mean small"),
        ("small", 0, None, "trials: expected 1"),
        ("small", 1, str(tmp_path / "bad.log"), "cannot be opened"),
        ("small", 1, "nosuch://user:secret@host/db", "cannot be opened"),
    ):
        with pytest.raises(VireidError, match=message) as caught:
            tune(recipe, root, tmp_path / "out", trials, storage, SMALL)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(VireidError, match=r"pip install 'vireid\[tune\]'"):
        tune("small", root, tmp_path / "out", 1, overrides=SMALL)


def test_prunes_below_the_median_and_repeats_an_interrupted_trial(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def train(*_: object, validated: Callable[[int, float], None]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        for epoch in range(1, 4):
            validated(epoch, 0.1 if calls == 7 else 0.5 + 0.01 * calls)

    monkeypatch.setattr(tuning, "train", train)
    with pytest.raises(KeyboardInterrupt):
        tune("small", root, tmp_path / "out", 6, overrides=SMALL)
    tune("small", root, tmp_path / "out", 6, overrides=SMALL)
    found = rows(tmp_path / "out")
    assert [row["state"] for row in found] == ["complete", "fail", *["complete"] * 4, "pruned"]
    assert found[-1]["epochs"] == "1"
    settings = [{k: v for k, v in row.items() if "." in k} for row in found]
    assert settings[1] == settings[2]
    assert (tmp_path / "out" / "importance.pdf").is_file()
