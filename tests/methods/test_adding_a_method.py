"""docs/adding-a-method.md as it stands: its two files in a copy of the package, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.markdown import ROOT, blocks
from tests.tiny import OVERRIDES
from tests.trees import write_folder

PAGE = (ROOT / "docs" / "adding-a-method.md").read_text()
RUNNER = """
from vireid.cli import main

if __name__ == "__main__":  # cost measures in a process of its own
    for line in {lines}:
        try:
            main(line)
        except SystemExit as stop:
            assert not stop.code, (line, stop.code)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the page's two files in the places it names."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    files = re.findall(r"`(src/\S+)`:\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [Path(name).suffix for name, _ in files] == [".py", ".yaml"]
    for name, text in files:
        assert not (copy / name).exists()
        (copy / name).write_text(text)
    return copy


def run(package: Path, *words: str) -> str:
    """Run Python with the copied package in ``package``'s folder."""
    path = os.pathsep.join([str(package / "src"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "VIREID_CACHE": str(package / "cache"), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *words], cwd=package, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_commands_run(package: Path) -> None:
    write_folder(package / "synvi-1", [f"p{i}" for i in range(6)], images=2, size=(48, 32))
    commands = [line.split() for line in blocks("docs/adding-a-method.md", "bash")[0].splitlines()]
    assert {words[0] for words in commands} == {"vireid"}
    overrides = [*OVERRIDES, "schedule.epochs=1", "schedule.milestones=[]"]
    lines = [words[1:] + (overrides if words[1] in ("train", "cost") else []) for words in commands]
    (package / "run.py").write_text(RUNNER.format(lines=lines))
    run(package, "run.py")
    assert (package / "runs" / "mix" / "evaluation").is_dir()
    assert (package / "runs" / "mix-0.2" / "model.safetensors").is_file()


def test_the_conformance_tests_find_it(package: Path) -> None:
    test = str(ROOT / "tests" / "methods" / "test_conformance.py")
    said = run(package, "-m", "pytest", test, "-k", "mix_style", "-c", str(ROOT / "pyproject.toml"))
    assert re.search(r"\b11 passed", said), said
