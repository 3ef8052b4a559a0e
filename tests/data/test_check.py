from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trees import (
    write_folder,
    write_image,
    write_llcm,
    write_manifest,
    write_market,
    write_regdb,
    write_sysu,
    write_text,
)
from vireid.data.check import CheckReport, check
from vireid.layouts import find_layout
from vireid.types import VireidError

REAL_PAIRS = Path(__file__).parents[2].parent / "shared" / "data" / "real_pairs"
WRITERS = {"sysu": write_sysu, "regdb": write_regdb, "llcm": write_llcm, "folder": write_folder,
           "market": write_market, "manifest": write_manifest}  # fmt: skip


def _rows(report: CheckReport) -> list[tuple[str, str]]:
    """(kind, where below the root) of every problem, the published sizes left out."""
    found = [(p.kind, p.where) for p in report.problems if "published" not in p.what]
    return [(kind, where.removeprefix(f"{report.root}/")) for kind, where in found]


def _rendered(root: Path) -> Path:
    write_text((root if root.is_dir() else root.parent) / "synthetic.json", "{}")
    return root


@pytest.mark.parametrize("layout", WRITERS)
def test_sound_rendered_tree(tmp_path: Path, layout: str) -> None:
    calls: list[tuple[int, int]] = []
    report = check(_rendered(WRITERS[layout](tmp_path)), progress=lambda done, total: calls.append((done, total)))
    assert report.layout == layout
    assert report.problems == ()
    assert report.ok
    assert any("synthetic.json" in note for note in report.notes)
    images = next(count.found for count in report.counts if count.name == "images")
    images += layout == "market"  # the junk is opened too
    assert calls == [(i, images) for i in range(1, images + 1)]


@pytest.mark.parametrize("layout", ["sysu", "regdb", "llcm", "market"])
def test_fewer_than_published_is_missing(tmp_path: Path, layout: str) -> None:
    report = check(WRITERS[layout](tmp_path))
    assert not report.ok
    assert {p.kind for p in report.problems} == {"missing"}
    assert any("training identities" in p.what for p in report.problems)
    assert _rows(report) == []


def test_counts(tmp_path: Path) -> None:
    report = check(write_sysu(tmp_path))
    assert {(c.name, c.found, c.published) for c in report.counts} == {
        ("training identities", 4, 395),
        ("test identities", 3, 96),
        ("cameras", 6, 6),
        ("training images, visible", 32, 22_258),
        ("training images, infrared", 16, 11_909),
        ("test images, visible", 24, 6_775),
        ("test images, infrared", 12, 3_803),
        ("images", 84, None),
    }


def test_counts_of_queries_and_their_gallery(tmp_path: Path) -> None:
    report = check(write_market(tmp_path))
    assert [(c.name, c.found, c.published) for c in report.counts] == [
        ("training identities", 3, 751),
        ("training images, visible", 12, 12_936),
        ("test identities", 2, 750),
        ("query images, visible", 4, 3_368),
        ("gallery images, visible", 9, 15_913),
        ("cameras", 2, 6),
        ("images", 25, None),
    ]
    assert "1 images are in no list and are not used" in report.notes[0]


def test_flaws_of_a_manifest_name_the_line(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    lines = path.read_text().splitlines()
    (tmp_path / lines[3].split(",")[0]).write_bytes(b"")
    shutil.copy(tmp_path / lines[4].split(",")[0], tmp_path / lines[20].split(",")[0])
    write_text(path, "\n".join([*lines, "gone.png,ann,1,visible,train", "", "x", lines[7]]))
    found = [(kind, where.removeprefix(f"{tmp_path}/")) for kind, where in _rows(check(path))]
    assert found == [
        ("unreadable", "list.csv:44"),
        ("missing", "list.csv:42"),
        ("duplicated", "list.csv:45"),
        ("unreadable", lines[3].split(",")[0]),
        ("mislabelled", lines[20].split(",")[0]),
    ]


def test_more_than_published_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = replace(find_layout("folder"), published={"images": 11})
    monkeypatch.setattr("vireid.data.check.find_layout", lambda name: layout)
    report = check(write_folder(tmp_path))
    assert report.ok
    assert report.notes == ("images: 12, more than the 11 published",)


def test_all_flaws_are_found_at_once(tmp_path: Path) -> None:
    root = _rendered(write_sysu(tmp_path, permutations=False))
    (root / "exp" / "val_id.txt").unlink()
    write_text(root / "exp" / "train_id.txt", "1,2,3,4,40")
    (root / "cam1" / "0001" / "0001.jpg").write_bytes(b"")
    (root / "cam6" / "0002" / "0002.jpg").write_text("nonsense")
    shutil.copy(root / "cam4" / "0003" / "0001.jpg", root / "cam5" / "0003" / "0009.jpg")
    shutil.copy(root / "cam4" / "0007" / "0001.jpg", root / "cam4" / "0009" / "0001.jpg")
    assert sorted(_rows(check(root))) == [
        ("duplicated", "cam5/0003/0009.jpg"),
        ("mislabelled", str(root)),  # identity 4 is in the training and the test list
        ("mislabelled", "cam4/0009/0001.jpg"),
        ("missing", "exp/train_id.txt"),
        ("missing", "exp/val_id.txt"),
        ("unreadable", "cam1/0001/0001.jpg"),
        ("unreadable", "cam6/0002/0002.jpg"),
    ]


def test_regdb_lists_of_every_trial(tmp_path: Path) -> None:
    root = _rendered(write_regdb(tmp_path))
    (root / "idx" / "test_thermal_9.txt").unlink()
    lists = root / "idx" / "train_visible_4.txt"
    write_text(lists, lists.read_text().replace(" 0\n", " 1\n", 1))
    (root / "Thermal" / "2" / "male_back_t_00001_2.bmp").unlink()
    rows = _rows(check(root))
    assert ("missing", "idx/test_thermal_9.txt") in rows
    # the first image of a person now has the label of the second, so its person's other image contradicts it
    assert [where for kind, where in rows if kind == "mislabelled" and "visible_4" in where][:1] == [
        "idx/train_visible_4.txt:2"
    ]
    named = [where for kind, where in rows if kind == "missing" and ":" in where]
    assert len(named) == 9  # of ten trials, one of which has lost the list


def test_same_image_under_two_identities(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    shutil.copy(root / "visible" / "bob" / "0.png", root / "visible" / "eve" / "7.png")
    (problem,) = check(root).problems
    assert (problem.kind, problem.where) == ("mislabelled", str(root / "visible" / "eve" / "7.png"))
    assert problem.what == f"same image as {root / 'visible' / 'bob' / '0.png'}, but identity eve, not bob"


def test_same_image_in_both_modalities(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    shutil.copy(root / "infrared" / "bob" / "1.png", root / "visible" / "bob" / "1.png")
    report = check(root)
    assert ("mislabelled", "infrared/bob/1.png") in _rows(report)
    assert any("infrared, not visible" in p.what for p in report.problems)


def test_image_in_the_wrong_modality_s_folder(tmp_path: Path) -> None:
    root = write_folder(tmp_path, images=4)
    write_image(root / "infrared" / "ann" / "1.png", np.random.default_rng(5), grey=False)
    write_image(root / "visible" / "eve" / "2.png", np.random.default_rng(6), grey=True)
    assert _rows(check(root)) == [("mislabelled", "visible/eve/2.png"), ("mislabelled", "infrared/ann/1.png")]


@pytest.mark.parametrize("folder", ["visible", "infrared"])
def test_sets_of_unusual_colour_are_left_alone(tmp_path: Path, folder: str) -> None:
    root = write_folder(tmp_path, images=4)
    random = np.random.default_rng(7)
    for path in sorted((root / folder).glob("*/*.png"))[:6]:
        write_image(path, random, grey=folder == "visible")
    assert check(root).ok


@pytest.mark.parametrize(
    ("break_it", "kind", "where"),
    [
        (
            lambda root: (root / "visible/ann/0.png").write_bytes(b"\x89PNG\r\n\x1a\n"),
            "unreadable",
            "visible/ann/0.png",
        ),
        (lambda root: (root / "infrared/new").mkdir(), "missing", "infrared/new"),
        (lambda root: shutil.rmtree(root / "infrared"), "missing", "infrared"),
        (
            lambda root: write_text(root / "visible/ann/notes.txt", "hello"),
            "unreadable",
            "visible/ann/notes.txt",
        ),
    ],
)
def test_folder_flaws(tmp_path: Path, break_it: Callable[[Path], object], kind: str, where: str) -> None:
    root = write_folder(tmp_path)
    break_it(root)
    report = check(root)
    assert not report.ok
    assert (kind, where) in _rows(report)


def test_identities_without_a_match_are_a_note(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    shutil.rmtree(root / "infrared" / "bob")
    report = check(root)
    assert report.ok
    assert "1 test identities have images of one modality only" in report.notes[0]


def test_messages_are_one_line_without_the_path_twice(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "visible" / "ann" / "0.png").write_bytes(b"")
    (problem,) = check(root).problems
    assert problem.what == "the image file is empty (0 bytes); restore it from the data set"


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_no_data_set(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(VireidError):
        check(tmp_path / name)


@pytest.mark.skipif(not REAL_PAIRS.is_dir(), reason="the real road-scene people are not on this machine")
def test_real_people() -> None:
    report = check(REAL_PAIRS)
    assert report.ok, report.problems
    assert {c.name: c.found for c in report.counts}["all identities"] == 24


def test_images_in_no_list_are_opened_too(tmp_path: Path) -> None:
    root = write_sysu(tmp_path / "sysu")
    stray = root / "cam1" / "0099" / "0001.jpg"
    write_image(stray, np.random.default_rng(0), grey=False)
    fine = check(root)
    assert any("1 images are in no list" in note and str(stray) in note for note in fine.notes)
    stray.write_bytes(stray.read_bytes()[:40])
    assert [p.where for p in check(root).problems if p.kind == "unreadable"] == [str(stray)]
