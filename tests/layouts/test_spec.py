"""What holds for every description of a data set, and how one is found."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trees import write_folder, write_llcm, write_manifest, write_market, write_regdb, write_sysu
from vireid.data import layouts as opened
from vireid.data.layouts import open_dataset, recognise
from vireid.evaluation import RULES
from vireid.layouts import BUILTIN, LayoutSpec, find_layout, layout_names
from vireid.recipes import shipped_recipes
from vireid.types import VireidError

WRITERS = {
    "sysu": write_sysu,
    "regdb": write_regdb,
    "llcm": write_llcm,
    "folder": write_folder,
    "market": write_market,
    "manifest": write_manifest,
}


@pytest.mark.parametrize("name", BUILTIN)
def test_a_built_in_layout_is_whole(name: str, tmp_path: Path) -> None:
    layout = find_layout(name)
    assert layout.name == name == layout.rule.name
    assert RULES[name] is layout.rule
    assert layout.recipe in shipped_recipes()
    assert bool(layout.markers) != bool(layout.suffix)
    assert set(layout.columns) <= set(layout.searches)
    assert len({(search.name, search.direction) for search in layout.searches}) == len(layout.searches)
    root = WRITERS[name](tmp_path / "set")
    assert recognise(root) == name
    assert open_dataset(root).layout == name


def test_no_name_is_listed_twice_and_none_is_missing() -> None:
    assert set(WRITERS) == set(BUILTIN)
    assert layout_names()[: len(BUILTIN)] == list(BUILTIN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "My set"}, "layout 'My set': expected a name of lower-case letters"),
        ({"searches": ()}, "layout folder: searches: expected at least one"),
        ({"people": None}, "layout folder: people: expected how many to render"),
    ],
)
def test_a_description_that_cannot_work_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(VireidError, match=message):
        replace(find_layout("folder"), **changes)  # type: ignore[arg-type]


def outside(monkeypatch: pytest.MonkeyPatch, **layouts: object) -> None:
    module = types.ModuleType("outside_layouts")
    vars(module).update(layouts)
    monkeypatch.setitem(sys.modules, "outside_layouts", module)
    find_layout.cache_clear()


def test_one_is_found_by_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = replace(find_layout("folder"), name="mine", markers=("day", "night"))
    outside(monkeypatch, MINE=mine, NONE=3)
    assert find_layout("outside_layouts:MINE") is mine
    assert open_dataset(write_folder(tmp_path), layout="outside_layouts:MINE").layout == "outside_layouts:MINE"
    with pytest.raises(VireidError, match=r"layout: outside_layouts:NONE is a int; expected .*LayoutSpec"):
        find_layout("outside_layouts:NONE")


def test_the_layout_with_the_most_markers_is_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "lists").mkdir()
    known: dict[str, LayoutSpec] = {name: find_layout(name) for name in BUILTIN}
    more = replace(known["folder"], name="more", markers=("visible", "infrared", "lists"))
    monkeypatch.setattr(opened, "_known", lambda: known | {"more": more, "same": known["folder"]})
    assert recognise(root) == "more"
    (root / "lists").rmdir()
    assert recognise(root) == "folder"


def test_a_broken_layout_of_another_package_is_left_out_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(opened, "layout_names", lambda: [*BUILTIN, "no_such_module:LAYOUT"])
    with pytest.warns(UserWarning, match="cannot import no_such_module.*; this layout is left out"):
        assert recognise(write_folder(tmp_path)) == "folder"


def test_a_recipes_layout_is_asked_first_and_others_where_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outside(monkeypatch, MINE=replace(find_layout("folder"), name="mine"))
    root, other = write_folder(tmp_path / "a"), write_market(tmp_path / "b")
    assert recognise(root, "outside_layouts:MINE") == "outside_layouts:MINE"
    assert recognise(other, "outside_layouts:MINE") == "market"
