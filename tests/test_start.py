"""What the command line may load before it has something to do: the first minute is spent waiting for imports."""

import subprocess
import sys

import pytest

from vireid.cli import VERBS

HEAVY = {"torch", "numpy", "scipy", "PIL", "pydantic", "yaml", "matplotlib", "onnxruntime", "pymilvus", "fastapi"}
CODE = """
import sys
from vireid.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *{name.partition(".")[0] for name in sys.modules})
"""


def loaded(*words: str) -> set[str]:
    """Run the command line in a process of its own; return the packages it has loaded by its end."""
    ended = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_the_first_line_loads_no_heavy_package(words: list[str]) -> None:
    assert loaded(*words) & HEAVY == set()


@pytest.mark.parametrize("verb", [*VERBS, "data render", "gallery search", "token add"])
def test_the_help_of_a_verb_loads_what_its_options_need_only(verb: str) -> None:
    recipes = {"pydantic", "yaml"} if verb in ("train", "data", "data render") else set()
    assert loaded(*verb.split(), "--help") & HEAVY <= recipes


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, vireid; print(*{name.partition('.')[0] for name in sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert set(ended.stdout.split()) & (HEAVY | {"cyclopts", "rich"}) == set()
