"""Two commands at one grid, as processes: no run is lost, none is trained twice, and a killed one goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny import OVERRIDES
from tests.trees import write_folder
from vireid.reproduce.grid import Grid, make_grid
from vireid.reproduce.items import item
from vireid.reproduce.plan import run_state

LIMIT = 300
"""Seconds until something that a test waits for must have happened."""


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    root = write_folder(tmp_path / "set", [f"p{i}" for i in range(6)], images=3, size=(48, 32))
    overrides = (*OVERRIDES, "data.holdout=0.34", "schedule.epochs=12")
    return make_grid(root, tmp_path / "out", recipe="small", seeds=2, overrides=overrides)


def start(grid: Grid, name: str, log: Path) -> subprocess.Popen[bytes]:
    code = "from vireid.cli import main; import sys; main(sys.argv[1:])"
    words = ["reproduce", name, "--data", grid.data, "--recipe", "small", "--seeds", grid.seeds, "--out", grid.out]
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words), *grid.overrides], stdout=file, stderr=subprocess.STDOUT
        )


def wait_for(ready: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + LIMIT
    while not ready():
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.02)


def steps(folder: Path) -> list[int]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if "total" in line]


def trained(*logs: Path) -> list[str]:
    return sorted(name for log in logs for name in re.findall(r"^training (\S+)", log.read_text(), re.MULTILINE))


def test_two_commands_share_a_grid_and_both_finish(grid: Grid, tmp_path: Path) -> None:
    grid = replace(grid, overrides=(*grid.overrides, "schedule.epochs=2"))
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    processes = [start(grid, "fig1", log) for log in logs]
    for process, log in zip(processes, logs, strict=True):
        assert process.wait(LIMIT) == 0, log.read_text()
    folders = [grid.folder(job) for job in item("fig1").jobs(grid)]
    assert trained(*logs) == sorted(folder.name for folder in folders)
    assert len(folders) == 2
    for folder in folders:
        assert steps(folder) == sorted(set(steps(folder)))
        assert (folder / "model.safetensors").is_file()
        assert (folder / "evaluation" / "set" / "results.json").is_file()
    assert (grid.out / "fig1" / "commands.txt").is_file()
    assert sorted(path.name for path in grid.out.iterdir()) == ["fig1", "index.html", "runs"]


def test_a_command_that_waits_goes_on_with_the_run_of_a_killed_one(grid: Grid, tmp_path: Path) -> None:
    job = grid.jobs()[0]
    folder, logs = grid.folder(job), [tmp_path / "first.log", tmp_path / "second.log"]
    first = start(grid, "fig6", logs[0])
    wait_for(lambda: list(folder.glob("checkpoints/step-*")), first)
    os.kill(first.pid, signal.SIGSTOP)  # so that it still has the run when the second one has started
    first_batch = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)[0]
    assert run_state(grid, job) == "running"
    second = start(grid, "fig6", logs[1])
    try:
        wait_for(lambda: "0 running" in logs[1].read_text(), second)
        assert trained(logs[1]) == []
    finally:
        first.kill()
        first.wait()
    assert second.wait(LIMIT) == 0, logs[1].read_text()
    assert trained(logs[1]) == [job.name]
    assert run_state(grid, job) == "finished"
    assert steps(folder) == sorted(set(steps(folder)))
    assert (folder / "metrics.jsonl").read_text().startswith(first_batch)  # with its speed: it was not trained again
