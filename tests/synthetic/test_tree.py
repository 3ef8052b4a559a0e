"""Synthetic trees on disk: read by the loaders of the real sets, the same bytes always."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from tests.rendered import SIX, digests, small
from vireid.cli import main
from vireid.data.check import check
from vireid.data.layouts import open_dataset
from vireid.difficulty import Difficulty
from vireid.synthetic import synthetic_set, workers, write_tree
from vireid.synthetic.plans import plan
from vireid.synthetic.settings import rendered_layouts
from vireid.synthetic.tree import DATE
from vireid.types import Modality, VireidError

REAL_PERMUTATIONS = Path(__file__).parents[2].parent / "shared" / "data" / "sysu_protocol" / "rand_perm_cam.mat"
LAYOUTS = rendered_layouts()


@pytest.fixture(scope="module")
def sysu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees") / "sysu"
    write_tree(root, SIX)
    return root


def test_sysu_tree_is_read_by_the_loader(sysu: Path) -> None:
    data = open_dataset(sysu)
    assert data.layout == "sysu"
    train, test = ({sample.identity for sample in part} for part in (data.train, data.test))
    assert len(train) == 4
    assert len(test) == 2
    assert train | test == set(range(1, 7))
    for part, people in ((data.train, 4), (data.test, 2)):
        per_camera = {camera: sum(sample.camera == camera for sample in part) for camera in range(1, 7)}
        assert per_camera == dict.fromkeys(range(1, 7), 2 * people)
    assert all((sample.modality is Modality.INFRARED) == (sample.camera in (3, 6)) for sample in data.train)
    assert {draws.shape for draws in data.gallery_permutations.values()} == {(10, 2)}
    with Image.open(data.train[0].path) as picture:
        assert picture.size == (12, 24)
        assert picture.format == "JPEG"


def test_people_a_camera_never_saw_have_no_folder_and_no_draws(tmp_path: Path) -> None:
    settings = synthetic_set("sysu", 5, height=8, width=8, seed=2)
    write_tree(tmp_path / "set", settings)
    absent = {(c, i) for c in range(1, 7) for i in range(1, 6)} - {(s.camera, s.identity) for s in plan(settings).shots}
    assert absent
    assert not any((tmp_path / "set" / f"cam{camera}" / f"{identity:04d}").exists() for camera, identity in absent)
    data = open_dataset(tmp_path / "set")
    assert not absent & set(data.gallery_permutations)
    assert check(tmp_path / "set").problems == ()


def test_sysu_permutations_have_the_real_files_shape(sysu: Path) -> None:
    if not REAL_PERMUTATIONS.is_file():
        pytest.skip("the real rand_perm_cam.mat is not at hand")
    ours, real = (loadmat(path)["rand_perm_cam"] for path in (sysu / "exp" / "rand_perm_cam.mat", REAL_PERMUTATIONS))
    assert ours.shape == real.shape == (6, 1)
    assert ours.dtype == real.dtype
    for camera in range(6):
        mine, theirs = ours[camera, 0], real[camera, 0]
        assert mine.shape[1:] == theirs.shape[1:]
        assert mine.dtype == theirs.dtype
        assert mine[0, 0].dtype == theirs[0, 0].dtype
        assert len(mine[0, 0]) == len(theirs[0, 0]) == 10
        for draw in mine[0, 0]:
            assert sorted(draw) == list(range(1, len(draw) + 1))
    text = (sysu / "exp" / "test_id.txt").read_text()
    assert sorted(int(part) for part in text.split(",")) == [int(part) for part in text.split(",")]


def test_regdb_tree_is_read_by_the_loader(tmp_path: Path) -> None:
    root = tmp_path / "regdb"
    write_tree(root, small("regdb", 6))
    splits = set()
    for trial in range(1, 11):
        data = open_dataset(root, trial)
        train, test = ({sample.identity for sample in part} for part in (data.train, data.test))
        assert len(train) == len(test) == 3
        assert not train & test
        splits.add(frozenset(train))
        assert len(data.train) == len(data.test) == 3 * 2 * 2
    assert len(splits) > 5
    lines = (root / "idx" / "train_thermal_3.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["0", "0", "1", "1", "2", "2"]
    assert all((root / line.split()[0]).suffix == ".bmp" for line in lines)


@pytest.mark.parametrize("like", ["llcm", "folder"])
def test_the_other_layouts_are_read_by_their_loaders(like: str, tmp_path: Path) -> None:
    write_tree(tmp_path / like, small(like, 6, images=1))
    data = open_dataset(tmp_path / like)
    assert data.layout == like
    train, test = ({sample.identity for sample in part} for part in (data.train, data.test))
    if like == "llcm":
        assert (len(train), len(test), len(train | test)) == (4, 2, 6)
        assert len(data.train) + len(data.test) == 6 * 9 * 2
        assert {sample.camera for sample in data.test} == set(range(1, 10))
    else:
        assert len(train) == 6
        assert {(sample.camera, sample.modality) for sample in data.train} == {(1, 0), (2, 1)}


@pytest.mark.parametrize("like", LAYOUTS)
def test_data_check_finds_nothing_wrong(like: str, tmp_path: Path) -> None:
    write_tree(tmp_path / "set", small(like, masks=True))
    report = check(tmp_path / "set")
    assert report.problems == ()
    assert len(report.notes) == 1


def test_attributes_describe_every_image(sysu: Path) -> None:
    rows = list(csv.DictReader((sysu / "attributes.csv").read_text().splitlines()))
    data = open_dataset(sysu)
    listed = {(row["path"], int(row["identity"]), int(row["camera"])) for row in rows}
    samples = {(s.path.relative_to(sysu).as_posix(), s.identity, s.camera) for s in data.train + data.test}
    assert listed == samples
    assert len(rows) == len(listed)


def test_masks_lie_beside_the_images(tmp_path: Path) -> None:
    write_tree(tmp_path / "set", small("sysu", 2, images=1, height=64, width=32, difficulty=0.0, masks=True))
    images = sorted(path.relative_to(tmp_path / "set") for path in (tmp_path / "set").glob("cam*/*/*.jpg"))
    masks = sorted(path.relative_to(tmp_path / "set" / "masks") for path in (tmp_path / "set" / "masks").rglob("*.png"))
    assert masks == [path.with_suffix(".png") for path in images]
    for path in masks:
        with Image.open(tmp_path / "set" / "masks" / path) as mask:
            assert (mask.size, mask.mode) == ((32, 64), "1")
            assert 0.1 < np.asarray(mask).mean() < 0.8


def test_nothing_but_the_folder_tells_who_is_on_an_image(sysu: Path) -> None:
    assert {path.stat().st_mtime for path in (sysu, *sysu.rglob("*"))} == {DATE}
    tables: dict[str, set[str]] = {}
    for path in sysu.glob("cam*/*/*.jpg"):
        with Image.open(path) as picture:
            tables.setdefault(path.parts[-3], set()).add(repr((picture.quantization, sorted(picture.info))))
    assert all(len(found) == 1 for found in tables.values())
    assert len(set.union(*tables.values())) > 1
    names = {path.name for path in sysu.glob("cam*/*/*.jpg")}
    assert names == {"0001.jpg", "0002.jpg"}


def test_the_same_settings_write_the_same_bytes(sysu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BATCH", 5)
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir()  # an empty folder is as good as none
    write_tree(again, SIX)
    assert digests(again) == digests(sysu)
    write_tree(other, small(identities=6, seed=6, test_identities=2))
    ours, theirs = digests(other), digests(sysu)
    assert set(ours) == set(theirs)
    assert not any(ours[name] == theirs[name] for name in ours if name.endswith(".jpg"))


def test_a_tree_records_its_settings_and_reports_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    dial = {**dict.fromkeys(vars(Difficulty()), 0.3), "light": 0.9}
    settings = small("regdb", seed=2, images=3, difficulty=Difficulty(light=0.9))
    write_tree(tmp_path / "set", settings, lambda *step: seen.append(step))
    record = json.loads((tmp_path / "set" / "synthetic.json").read_text())
    assert record == {
        "version": 2, "like": "regdb", "seed": 2, "difficulty": dial, "identities": 4, "test_identities": 2,
        "images": 3, "height": 24, "width": 12, "infrared": "thermal", "masks": False,
    }  # fmt: skip
    assert seen[-1] == (24, 24)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"like": "duke"}, "like: unknown layout duke; expected one of .*market"),
        ({"identities": 1}, "identities: expected at least 2, got 1"),
        ({"images": 0}, "images: expected 1 or more, got 0"),
        ({"test_identities": 4}, "test_identities: expected 1 to 3, got 4"),
        ({"test_identities": 0}, "test_identities: expected 1 to 3, got 0"),
        ({"like": "folder", "test_identities": 1}, "test_identities: the folder layout has no lists"),
        ({"height": 4}, "height, width: expected at least 8 pixels, got 4 x 12"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
        ({"infrared": "far"}, "infrared: expected near or thermal, got far"),
        ({"infrared": "visible"}, "infrared: expected near or thermal, got visible"),
        ({"difficulty": 1.5}, "difficulty: expected a number from 0"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(VireidError, match=message):
        small(**arguments)


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(VireidError, match=r"already in use; give a new or an empty folder"):
        write_tree(tmp_path, small())
    with pytest.raises(VireidError, match=r"notes.txt: already in use"):
        write_tree(tmp_path / "notes.txt", small())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_command_sets_each_part_of_the_dial(tmp_path: Path) -> None:
    sizes = ["--ids", "2", "--images", "1", "--height", "8", "--width", "8"]
    with pytest.raises(SystemExit) as ended:
        main(
            ["data", "render", str(tmp_path / "set"), "--like", "folder", *sizes, "--difficulty", "0.5", "--crop", "0"]
        )
    assert ended.value.code == 0
    record = json.loads((tmp_path / "set" / "synthetic.json").read_text())
    assert record["difficulty"] == {**dict.fromkeys(vars(Difficulty()), 0.5), "crop": 0.0}
