"""Completion at the shell, installed as docs/command-line.md says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import blocks, read_page

ASK = """
source ~/.bashrc
COMP_WORDS=(%s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_vireid
echo "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    folder = tmp_path_factory.mktemp("home")
    command = blocks(read_page("command-line.md"), "bash")[0].split()
    assert command[0] == "vireid"
    environment = os.environ | {"HOME": str(folder), "SHELL": "/bin/bash"}
    subprocess.run([sys.executable, "-m", *command, "--shell", "bash"], env=environment, check=True, timeout=120)
    return folder


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("vireid eva", "evaluate"), ("vireid evaluate --rer", "--rerank"), ("vireid gallery ver", "verify")],
)
def test_a_new_shell_completes(home: Path, typed: str, expected: str) -> None:
    asked = subprocess.run(
        ["bash", "-c", ASK % typed], env={"HOME": str(home), "PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert asked.stdout.split() == [expected], asked.stderr
