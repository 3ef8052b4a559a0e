"""Code and commands of a page of docs/, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.tiny import OVERRIDES
from tests.trees import write_folder

ROOT = Path(__file__).parents[1]
RUNNER = """
from vireid.cli import main

if __name__ == "__main__":  # cost measures in a process of its own
    for line in {lines}:
        try:
            main(line)
        except SystemExit as stop:
            assert not stop.code, (line, stop.code)
"""


def read_page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of one language in a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


def run_snippets(page: str) -> dict[str, Any]:
    """Run the Python of a page from top to bottom in the current folder and return the names it leaves."""
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks(page, "python"), start=1):
        exec(compile(block, f"block {number} of the page", "exec"), names)
    return names


def files_of(page: str) -> dict[str, str]:
    """Text of the files that a page shows, each below a line that begins with its name and ends with a colon."""
    return dict(re.findall(r"^`([^`\n]+)`[^\n]*:\n\n```\w+\n(.*?)```", page, flags=re.DOTALL | re.MULTILINE))


def copy_package(folder: Path) -> Path:
    """Copy src/ below a folder and return the copy."""
    return shutil.copytree(
        ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "node_modules")
    )


def run_python(folder: Path, source: Path, *words: str, **environment: str) -> str:
    """Run Python in a folder, with the package of a src folder, and return what it printed."""
    path = os.pathsep.join([str(source), str(ROOT), environment.pop("PYTHONPATH", "")])
    settings = {"VIREID_CACHE": str(folder / "cache"), "COLUMNS": "200", "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **settings, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_commands(page: str, folder: Path, source: Path, block: int = 0) -> None:
    """Run the vireid commands of a bash block of a page in a folder, trainings at tiny size.

    A line ``export NAME=value ...`` sets the environment; ``synvi-1`` is a small set in the folder.
    """
    if not (folder / "synvi-1").exists():
        write_folder(folder / "synvi-1", [f"p{i}" for i in range(6)], images=2, size=(48, 32))
    lines = [line.split() for line in blocks(page, "bash")[block].splitlines()]
    assert {words[0] for words in lines} <= {"vireid", "export"}
    environment = dict(pair.split("=") for words in lines if words[0] == "export" for pair in words[1:])
    overrides = [*OVERRIDES, "schedule.epochs=1", "schedule.milestones=[]"]
    commands = [
        words[1:] + (overrides if words[1] in ("train", "cost") else []) for words in lines if words[0] == "vireid"
    ]
    (folder / "run.py").write_text(RUNNER.format(lines=commands))
    run_python(folder, source, "run.py", **environment)
