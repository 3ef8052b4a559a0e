"""Code run in a process of its own, to be killed or limited, and the shape that every error has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vireid.types import VireidError

ROOT = Path(__file__).parents[2]


def one_line(error: pytest.ExceptionInfo[VireidError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def run(code: str, *arguments: str, **more: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **more)  # type: ignore[call-overload, no-any-return]
