"""docs/adding-a-backbone.md as it stands: its two files in an empty folder, and its commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import OVERRIDES
from tests.trees import write_folder
from vireid.training.checkpoint import load_run
from vireid.types import VireidError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-backbone.md").read_text()
RUNNER = """
from vireid.cli import main

if __name__ == "__main__":  # cost measures in a process of its own
    for line in {lines}:
        try:
            main(line)
        except SystemExit as stop:
            assert not stop.code, (line, stop.code)
"""


def test_its_commands_run(tmp_path: Path) -> None:
    files = re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [name for name, _ in files] == ["toy_net.py", "toy.yaml"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    write_folder(tmp_path / "synvi-1", [f"p{i}" for i in range(6)], images=2, size=(48, 32))
    exports, *commands = re.search(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)[1].splitlines()  # type: ignore[index]
    given = dict(word.split("=") for word in exports.removeprefix("export ").split())
    small = [words for words in OVERRIDES if not words.startswith(("model.backbone", "model.weights"))]
    small += ["schedule.epochs=1", "schedule.milestones=[]"]
    lines = []
    for command in commands:
        program, verb, *words = command.split()
        assert program == "vireid"
        lines.append([verb, *words, *(small if verb in ("train", "cost") else [])])
    (tmp_path / "run.py").write_text(RUNNER.format(lines=lines))
    paths = [str(tmp_path / given["PYTHONPATH"]), str(ROOT / "src")]
    environment = {**os.environ, **given, "PYTHONPATH": os.pathsep.join(paths), "VIREID_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / "toy" / "onnx" / "visible.onnx").is_file()
    assert (tmp_path / "runs" / "toy-3" / "model.safetensors").is_file()
    with pytest.raises(VireidError, match="toy_net:ToyNet is code that no installed package offers"):
        load_run(tmp_path / "runs" / "toy")  # here, where it is not trusted
