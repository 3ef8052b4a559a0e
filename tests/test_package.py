"""What ``import vireid`` and ``python -m vireid`` give."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vireid


def python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["vireid", "vireid.types"])
def test_it_loads_the_standard_library_alone(module: str) -> None:
    """Whoever catches `VireidError` or completes a name does not wait for PyTorch."""
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    loaded = {name.partition(".")[0] for name in python("-c", code).split()}
    assert "vireid" in loaded
    assert loaded - sys.stdlib_module_names == {"vireid"}


def test_the_package_runs_as_a_module() -> None:
    assert python("-m", "vireid", "--version") == vireid.__version__


def test_the_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^nowhere: expected the folder of a data set"):
        vireid.open_dataset("nowhere")
