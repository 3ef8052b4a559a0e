"""Every block of docs/search.md is run, in order, in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.gallery.milvus_server import free_port
from tests.pages import blocks, read_page


def run(block: str, folder: Path) -> None:
    """Run a block; a service that it started in the background ends with it."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / ".log").open("w+") as log:
        process = subprocess.Popen(
            ["bash", "-euc", block.replace("8765", str(free_port()))],
            cwd=folder,
            env=os.environ | {"PATH": programs},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            status = process.wait(300)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert status == 0, f"{block}\n{(folder / '.log').read_text()}"


def test_the_tutorial_runs(tmp_path: Path) -> None:
    for block in blocks(read_page("search.md"), "bash"):
        if "curl" in block and shutil.which("curl") is None:
            pytest.skip("the last block, on the service, was not run: curl is not installed")
        run(block, tmp_path)
    assert "data:image/" in (tmp_path / "answer.html").read_text()
    assert (tmp_path / "yard.parquet").stat().st_size > 1000
    assert (tmp_path / "copy" / "entries.sqlite").exists()
    assert len(json.loads((tmp_path / "answer.json").read_text())["matches"]) == 3
