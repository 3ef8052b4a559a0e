"""docs/adding-a-method.md as it stands: its two files in a copy of the package, and its method outside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pages import ROOT, copy_package, files_of, read_page, run_commands, run_python

PAGE = read_page("adding-a-method.md")
FILES = files_of(PAGE)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package's source that has the page's two files in the places it names."""
    folder = tmp_path_factory.mktemp("copy")
    copy_package(folder)
    assert [Path(name).suffix for name in FILES] == [".py", ".yaml"]
    for name, text in FILES.items():
        assert not (folder / name).exists()
        (folder / name).write_text(text)
    return folder


def test_its_commands_run(package: Path) -> None:
    run_commands(PAGE, package, package / "src")
    assert (package / "runs" / "mix" / "evaluation").is_dir()
    assert (package / "runs" / "mix-0.2" / "model.safetensors").is_file()


def test_the_conformance_tests_find_it(package: Path) -> None:
    test = str(ROOT / "tests" / "methods" / "test_conformance.py")
    words = ["-m", "pytest", test, "-k", "mix_style", "-c", str(ROOT / "pyproject.toml")]
    said = run_python(package, package / "src", *words)
    assert re.search(r"\b11 passed", said), said


def test_the_same_file_works_outside_the_package(tmp_path: Path) -> None:
    (tmp_path / "my_methods").mkdir()
    (tmp_path / "my_methods" / "mix_style.py").write_text(FILES["src/vireid/methods/mix_style.py"])
    run_commands(PAGE, tmp_path, ROOT / "src", block=1)
    assert (tmp_path / "runs" / "outside" / "evaluation").is_dir()
