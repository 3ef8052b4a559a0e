"""The same calls where Linux's are missing, as on macOS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vireid import machine


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(machine, "_STATUS", tmp_path / "none")


def test_cores_are_those_the_process_may_use() -> None:
    assert machine.usable_cores() == len(os.sched_getaffinity(0))


def test_the_peak_grows_with_what_is_held() -> None:
    """In a process of its own: the peak of one that ran other tests may lie far above what it holds."""
    code = "from vireid.machine import peak_memory as p; a = p(); held = bytearray(b'x') * 2**28; print(p() - a)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 2**28 <= int(ended.stdout) < 2**29


@pytest.mark.usefixtures("elsewhere")
def test_without_linux_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.usable_cores() == os.cpu_count()
    kibibytes = machine.peak_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert kibibytes == pytest.approx(1024 * machine.peak_memory(), rel=0.01)
    with (tmp_path / "file").open("wb") as file:
        machine.reserve(file.fileno(), 12345)
    assert (tmp_path / "file").stat().st_size == 12345
