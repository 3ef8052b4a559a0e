"""Synthetic trees on disk: read by the loaders of the real sets, the same bytes always, nothing half-written."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from scipy.io import loadmat

from vireid.data.layouts import open_dataset
from vireid.data.synthetic import workers, write_tree
from vireid.types import Modality, VireidError

REAL_PERMUTATIONS = Path(__file__).parents[2].parent / "shared" / "data" / "sysu_protocol" / "rand_perm_cam.mat"
SMALL: dict[str, Any] = {"height": 24, "width": 12}


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sysu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees") / "sysu"
    images = {1: 2, 2: 3, 3: 2, 4: 1, 5: 2, 6: 3}
    write_tree(root, "sysu", 6, seed=5, images=images, test_identities=2, **SMALL)
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
        assert per_camera == {camera: people * count for camera, count in {1: 2, 2: 3, 3: 2, 4: 1, 5: 2, 6: 3}.items()}
    assert all((sample.modality is Modality.INFRARED) == (sample.camera in (3, 6)) for sample in data.train)
    for (camera, _), draws in data.gallery_permutations.items():
        assert draws.shape == (10, {1: 2, 2: 3, 3: 2, 4: 1, 5: 2, 6: 3}[camera])
    with Image.open(data.train[0].path) as picture:
        assert picture.size == (12, 24)
        assert picture.format == "JPEG"


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
    write_tree(root, "regdb", 6, images=2, **SMALL)
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


def test_the_same_arguments_write_the_same_bytes(sysu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vireid.data.synthetic.workers.BATCH", 5)
    images = {1: 2, 2: 3, 3: 2, 4: 1, 5: 2, 6: 3}
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir()  # an empty folder is as good as none
    write_tree(again, "sysu", 6, seed=5, images=images, test_identities=2, **SMALL)
    assert digests(again) == digests(sysu)
    write_tree(other, "sysu", 6, seed=6, images=images, test_identities=2, **SMALL)
    ours, theirs = digests(other), digests(sysu)
    assert set(ours) == set(theirs)
    assert not any(ours[name] == theirs[name] for name in ours if name.endswith(".jpg"))


def test_a_tree_records_its_recipe_and_reports_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_tree(tmp_path / "set", "regdb", 4, seed=2, images=3, progress=lambda *step: seen.append(step), **SMALL)
    record = json.loads((tmp_path / "set" / "synthetic.json").read_text())
    assert record == {
        "version": 1, "like": "regdb", "seed": 2, "difficulty": 0.3, "identities": 4, "test_identities": 2,
        "images": {"1": 3, "2": 3}, "height": 24, "width": 12,
    }  # fmt: skip
    assert seen[-1] == (24, 24)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"like": "market"}, "like: expected sysu or regdb, got market"),
        ({"identities": 1}, "identities: expected at least 2, got 1"),
        ({"images": 0}, "images: expected 1 or more for each of the cameras"),
        ({"images": {1: 3}}, "images: expected 1 or more for each of the cameras"),
        ({"test_identities": 4}, "test_identities: expected 1 to 3, got 4"),
        ({"test_identities": 0}, "test_identities: expected 1 to 3, got 0"),
        ({"height": 4}, "height, width: expected at least 8 pixels, got 4 x 12"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(VireidError, match=message):
        write_tree(tmp_path / "set", **{"like": "sysu", "identities": 4, **SMALL, **arguments})
    assert not any(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(VireidError, match=r"already in use; give a new or an empty folder"):
        write_tree(tmp_path, "sysu", 4, **SMALL)
    with pytest.raises(VireidError, match=r"notes.txt: already in use"):
        write_tree(tmp_path / "notes.txt", "sysu", 4, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupt_leaves_nothing(processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "_cores", lambda: processes)
    monkeypatch.setattr(workers, "PIXELS_WORTH_A_PROCESS", 1)
    with pytest.raises(KeyboardInterrupt):
        write_tree(tmp_path / "set", "sysu", 4, progress=stop, **SMALL)
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(VireidError, match=r"set: cannot be written: No space left on device"):
        write_tree(tmp_path / "set", "sysu", 4, **SMALL)
    assert not any(tmp_path.iterdir())


def test_several_processes_write_the_same_bytes(sysu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 2)
    monkeypatch.setattr(workers, "PIXELS_WORTH_A_PROCESS", 1)
    images = {1: 2, 2: 3, 3: 2, 4: 1, 5: 2, 6: 3}
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(done)

    write_tree(tmp_path / "set", "sysu", 6, seed=5, images=images, test_identities=2, progress=progress, **SMALL)
    assert digests(tmp_path / "set") == digests(sysu)
    assert seen == sorted(seen)
    assert seen[-1] == 6 * 13


def test_a_process_that_cannot_write_or_dies_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shots = tuple(workers.Shot("absent/1.jpg", 1, 1, number, Modality.VISIBLE) for number in range(2))
    job = workers.Job(tmp_path, shots, 0, 0.3, 24, 12)
    with pytest.raises(FileNotFoundError, match="No such file"):
        list(workers.run_apart(job, 1))
    monkeypatch.setattr(workers, "COMMAND", "import sys; sys.stdin.buffer.read(); sys.exit(3)")
    with pytest.raises(VireidError, match="a rendering process ended with status 3"):
        list(workers.run_apart(job, 1))
