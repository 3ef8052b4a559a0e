"""A grid of the smallest runs on a set in SYSU-MM01's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import OVERRIDES
from tests.trees import write_sysu
from vireid.reproduce.grid import Grid, make_grid

SMALL = (*OVERRIDES, "schedule.epochs=1", "data.identities=2")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def grid(tmp_path: Path, cache: None) -> Grid:
    root = write_sysu(tmp_path / "set", train=(1, 2, 3, 4), test=(6, 7, 8), images=2, size=(48, 32))
    return make_grid(root, tmp_path / "out", recipe="small", seeds=1, overrides=SMALL)
