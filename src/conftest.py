"""The examples of docstrings run in an empty folder, or beside the run that the example of `vireid.train` leaves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vireid


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = vireid.render("sysu", 24, images=1, height=64, width=32)
    size = ["data.height=64", "data.width=32", "model.base_width=8"]
    recipe = vireid.load_recipe("small", [*size, "schedule.epochs=1"])
    return vireid.train(recipe, data, tmp_path_factory.mktemp("examples") / "runs" / "tiny")


@pytest.fixture(autouse=True)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
        example = str(request.node.dtest.docstring)
        if '"runs/tiny"' in example and "vireid.train(" not in example:
            shutil.copytree(request.getfixturevalue("tiny_run"), tmp_path / "runs" / "tiny")
