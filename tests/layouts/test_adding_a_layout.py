"""docs/datasets.md as it stands: a layout in one file outside the package, named in a recipe, then installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pages import ROOT, files_of, read_page, run_commands, run_python

PAGE = read_page("datasets.md")
FILES = files_of(PAGE)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files, in which its first commands ran."""
    folder = tmp_path_factory.mktemp("work")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    run_commands(PAGE, folder, ROOT / "src")
    return folder


def results(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "evaluation" / "set" / "results.json").read_text())
    return content


def test_the_layout_is_one_file_and_a_recipe_names_it(work: Path) -> None:
    assert list(FILES) == ["doors.py", "pyproject.toml"]
    found = results(work / "runs" / "doors")
    assert found["data"]["layout"] == "doors:LAYOUT"
    assert [result["name"] for result in found["results"]] == [
        *["doors infrared-to-visible"] * 2,
        *["doors visible-to-infrared"] * 2,
        "doors mixed both-to-both",
    ]
    run = json.loads((work / "runs" / "doors" / "run.json").read_text())
    assert (run["classes"], run["training_images"]) == (4, 4 * 2 * 2 * 2)


def test_a_run_folder_names_it_only_where_it_is_trusted(work: Path) -> None:
    code = "from vireid.cli import main; main(['evaluate', 'runs/doors', '--data', 'set'])"
    with pytest.raises(AssertionError, match=r"run\.json: recipe: data\.layout: doors:LAYOUT is code that"):
        run_python(work, ROOT / "src", "-c", code)


def test_installed_it_is_recognised(work: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--target", str(tmp_path)]
    (work / "source").mkdir()
    for name, text in FILES.items():
        (work / "source" / name).write_text(text)
    subprocess.run([*pip, *offline, str(work / "source")], check=True, timeout=120)
    (work / "set").rename(tmp_path / "set")
    run_commands(PAGE, tmp_path, ROOT / "src", block=1)
    found = results(tmp_path / "runs" / "installed")
    assert found["data"]["layout"] == "doors"
    code = "from vireid.data.layouts import open_dataset; print(open_dataset('set').layout)"
    assert run_python(tmp_path, ROOT / "src", "-c", code).strip() == "doors"
    bad = "from vireid.layouts import find_layout; find_layout('door')"
    with pytest.raises(AssertionError, match=r"unknown layout door; expected one of doors, .*did you mean doors\?"):
        run_python(tmp_path, ROOT / "src", "-c", bad)
