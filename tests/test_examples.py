"""Every script of examples/ runs as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@cache
def printed_by(script: Path) -> str:
    """Run a script in an empty folder and return what it printed."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example_runs_and_is_short(script: Path) -> None:
    assert len(script.read_text().splitlines()) < 100
    assert printed_by(script).strip()


def test_weakening_takes_response_from_the_strongest_positions() -> None:
    printed = printed_by(ROOT / "examples" / "plug_dfw_into_resnet.py")
    before, after = (float(share) for share in re.findall(r"([\d.]+)%", printed))
    assert after < before
    assert re.search(r"Network: (torchvision|vireid)'s", printed)
