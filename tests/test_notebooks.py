"""Every notebook runs from top to bottom, and what it shows was made by the code that it holds."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.notebooks import NOTEBOOKS, code_cells, digest, execute


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_stored_output_is_of_this_code(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.get("code") == digest(notebook), "run python -m tests.notebooks"
    assert path.stat().st_size < 300_000
    assert notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_is_stored(path: Path) -> None:
    stored, made = nbformat.read(path, as_version=4), execute(path)
    kinds = [
        [[(output.output_type, sorted(output.get("data", ()))) for output in cell.outputs] for cell in code_cells(run)]
        for run in (stored, made)
    ]
    assert kinds[0] == kinds[1]
    assert sum(bool(outputs) for outputs in kinds[0]) > len(kinds[0]) / 2
