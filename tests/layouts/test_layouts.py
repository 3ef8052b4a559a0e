from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from tests.trees import VISIBLE_CAMERAS, write_folder, write_llcm, write_regdb, write_sysu, write_text
from vireid.config import LossConfig
from vireid.data.layouts import open_dataset
from vireid.training.split import require_modalities
from vireid.types import Modality, VireidError

PROTOCOL = Path(__file__).parents[2].parent / "shared" / "data" / "sysu_protocol"


def _fails(root: Path, *fragments: str, trial: int = 1) -> None:
    with pytest.raises(VireidError) as caught:
        open_dataset(root, trial)
    message = str(caught.value)
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message, message


def _facts(samples: tuple, root: Path) -> list[tuple[str, int, int, int]]:
    return [(str(s.path.relative_to(root)), s.identity, s.camera, int(s.modality)) for s in samples]


def test_sysu(tmp_path: Path) -> None:
    root = write_sysu(tmp_path)
    (root / "cam1" / "0001" / "Thumbs.db").write_bytes(b"x")
    (root / "cam1" / "0001" / ".hidden.jpg").write_bytes(b"x")
    write_text(root / "cam1" / "0300" / "0001.jpg", "of an identity in no list")
    shutil.rmtree(root / "cam2" / "0003")  # not every camera sees every identity
    dataset = open_dataset(root)
    assert dataset.layout == "sysu"
    assert dataset.trial is None
    expected = {}
    for part, people in (("train", (1, 2, 3, 5)), ("test", (4, 7, 9))):
        expected[part] = [
            (f"cam{c}/{i:04d}/{n:04d}.jpg", i, c, int(c not in VISIBLE_CAMERAS))
            for i in people
            for c in range(1, 7)
            for n in (1, 2)
            if (c, i) != (2, 3)
        ]
    assert _facts(dataset.train, root) == expected["train"]
    assert _facts(dataset.test, root) == expected["test"]


def test_sysu_order_is_by_name_within_camera_and_identity(tmp_path: Path) -> None:
    root = write_sysu(tmp_path, images=12)
    names: dict[tuple[int, int], list[str]] = {}
    for sample in open_dataset(root).test:
        names.setdefault((sample.camera, sample.identity), []).append(sample.path.name)
    assert all(found == [f"{n:04d}.jpg" for n in range(1, 13)] for found in names.values())


def test_sysu_permutations_are_the_file_s_minus_one(tmp_path: Path) -> None:
    root = write_sysu(tmp_path, images=5)
    cells = scipy.io.loadmat(root / "exp" / "rand_perm_cam.mat")["rand_perm_cam"]
    permutations = open_dataset(root).gallery_permutations
    assert sorted(permutations) == [(c, i) for c in range(1, 7) for i in (4, 7, 9)]
    for (camera, identity), draws in permutations.items():
        assert draws.dtype == np.int64
        np.testing.assert_array_equal(draws + 1, cells[camera - 1, 0][identity - 1, 0])
    (root / "exp" / "rand_perm_cam.mat").unlink()
    assert open_dataset(root).gallery_permutations == {}


@pytest.mark.skipif(not PROTOCOL.is_dir(), reason="the SYSU-MM01 protocol file is not on this machine")
def test_sysu_with_the_real_protocol_file(tmp_path: Path) -> None:
    cells = scipy.io.loadmat(PROTOCOL / "rand_perm_cam.mat")["rand_perm_cam"]
    test = [int(i) for i in scipy.io.loadmat(PROTOCOL / "test_id.mat")["id"].ravel()]
    train = [int(i) for i in scipy.io.loadmat(PROTOCOL / "train_id.mat")["id"].ravel()]
    for camera in range(1, 7):
        for identity in test:
            folder = tmp_path / f"cam{camera}" / f"{identity:04d}"
            for number in range(cells[camera - 1, 0][identity - 1, 0].shape[1]):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{number + 1:04d}.jpg").touch()
    for identity in train:
        write_text(tmp_path / "cam4" / f"{identity:04d}" / "0001.jpg", "")
        write_text(tmp_path / "cam6" / f"{identity:04d}" / "0001.jpg", "")
    (tmp_path / "exp").mkdir()
    for name in ("rand_perm_cam.mat", "train_id.mat", "test_id.mat"):
        shutil.copy(PROTOCOL / name, tmp_path / "exp")
    unseen = next(i for i in range(1, 334) if i not in (*train, *test))
    write_text(tmp_path / "exp" / "val_id.txt", str(unseen))
    for camera in (1, 3):
        write_text(tmp_path / f"cam{camera}" / f"{unseen:04d}" / "0001.jpg", "")
    dataset = open_dataset(tmp_path)
    assert len({s.identity for s in dataset.train}) == 297
    images = Counter(s.camera for s in dataset.test)
    assert [images[c] for c in range(1, 7)] == [1374, 1565, 1883, 1918, 1918, 1920]
    pairs = Counter(camera for camera, _ in dataset.gallery_permutations)
    assert [pairs[c] for c in range(1, 7)] == [56, 56, 93, 94, 95, 96]
    assert sum(s.modality == Modality.INFRARED for s in dataset.test) == 3803
    assert sum(pairs[c] for c in VISIBLE_CAMERAS) == 301


def test_sysu_lists_may_be_mat_files(tmp_path: Path) -> None:
    expected = open_dataset(write_sysu(tmp_path))
    for name, ids in (("train", [3, 1, 2]), ("val", [5.0]), ("test", [4, 7, 9])):
        (tmp_path / "exp" / f"{name}_id.txt").unlink()
        scipy.io.savemat(tmp_path / "exp" / f"{name}_id.mat", {"id": np.array([ids])})
    found = open_dataset(tmp_path)
    assert found.train == expected.train
    assert found.test == expected.test


def test_sysu_flaws(tmp_path: Path) -> None:
    root = write_sysu(tmp_path)
    lists = root / "exp"
    write_text(lists / "val_id.txt", "5,x7")
    _fails(root, f"{lists / 'val_id.txt'}:1", "'x7'")
    write_text(lists / "val_id.txt", "5,5")
    _fails(root, f"{lists / 'val_id.txt'}:1", "identity 5 is listed twice")
    write_text(lists / "val_id.txt", "5,4")
    _fails(root, "identity 4 is in the training and the test part")
    write_text(lists / "val_id.txt", "5,77")
    _fails(root, "val_id.txt", "identity 77", "no image")
    (lists / "val_id.txt").write_bytes(b"\xff\xfe\x00")
    _fails(root, "val_id.txt", "expected a text file")
    (lists / "val_id.txt").unlink()
    _fails(root, f"{lists / 'val_id.txt'}: this list file is part of the layout")
    (lists / "val_id.mat").write_bytes(b"not MATLAB")
    _fails(root, "val_id.mat", "expected a MATLAB file")
    scipy.io.savemat(lists / "val_id.mat", {"wrong": [1]})
    _fails(root, "val_id.mat", "a variable named 'id'")
    scipy.io.savemat(lists / "val_id.mat", {"id": np.eye(3)})
    _fails(root, "val_id.mat", "(3, 3)")


def test_sysu_training_identity_without_infrared(tmp_path: Path) -> None:
    root = write_sysu(tmp_path)
    shutil.rmtree(root / "cam3" / "0002")
    shutil.rmtree(root / "cam6" / "0002")
    _fails(root, "training identity 2 has no infrared image")


def test_sysu_permutations_must_fit_the_folders(tmp_path: Path) -> None:
    root = write_sysu(tmp_path)
    extra = root / "cam5" / "0007" / "0003.jpg"
    shutil.copy(root / "cam5" / "0007" / "0001.jpg", extra)
    _fails(root, str(extra.parent), "3 images", "rand_perm_cam.mat lists 2")
    extra.unlink()
    shutil.rmtree(extra.parent)
    _fails(root, str(extra.parent), "0 images", "rand_perm_cam.mat lists 2")


def test_sysu_damaged_permutations(tmp_path: Path) -> None:
    path = write_sysu(tmp_path) / "exp" / "rand_perm_cam.mat"
    cells = scipy.io.loadmat(path)["rand_perm_cam"]
    cells[0, 0][3, 0][4] = [1, 1]
    scipy.io.savemat(path, {"rand_perm_cam": cells})
    _fails(tmp_path, "rand_perm_cam.mat", "camera 1, identity 4", "permutations of 1 to 2")
    scipy.io.savemat(path, {"rand_perm_cam": np.eye(6)})
    _fails(tmp_path, "rand_perm_cam.mat", "expected 6 x 1 cells")
    path.write_bytes(path.read_bytes()[:150])
    _fails(tmp_path, "rand_perm_cam.mat", "expected a MATLAB file")


def test_regdb(tmp_path: Path) -> None:
    root = write_regdb(tmp_path, identities=8, images=3)
    splits = []
    for trial in range(1, 11):
        dataset = open_dataset(root, trial)
        assert (dataset.layout, dataset.trial) == ("regdb", trial)
        train, test = ({s.identity for s in part} for part in (dataset.train, dataset.test))
        assert train | test == set(range(1, 9))
        assert not train & test
        splits.append(frozenset(train))
        for part, samples in (("train", dataset.train), ("test", dataset.test)):
            lines = [
                line.split()[0]
                for folder in ("visible", "thermal")
                for line in (root / "idx" / f"{part}_{folder}_{trial}.txt").read_text().splitlines()
            ]
            assert sorted(str(s.path.relative_to(root)) for s in samples) == sorted(lines)
        for path, identity, camera, modality in _facts(dataset.train + dataset.test, root):
            assert path.split("/")[1] == str(identity)
            assert camera == 1 + modality == {"Visible": 1, "Thermal": 2}[path.split("/")[0]]
    assert len(set(splits)) > 3


@pytest.mark.parametrize("trial", [0, 11, -1])
def test_regdb_trial_out_of_range(tmp_path: Path, trial: int) -> None:
    _fails(write_regdb(tmp_path), "trial: expected", f"got {trial}", trial=trial)


def test_regdb_missing_list(tmp_path: Path) -> None:
    root = write_regdb(tmp_path, trials=[1])
    open_dataset(root, 1)
    _fails(root, "train_visible_2.txt", "list file", trial=2)


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("Visible/1/male_back_v_00000_1.bmp", "expected 'path label'"),
        ("Visible/1/male_back_v_00000_1.bmp seven", "expected 'path label'"),
        ("Visible/../Visible/1/male_back_v_00000_1.bmp 0", "expected 'path label'"),
        ("/etc/passwd 0", "expected an image in Visible/"),
        ("Thermal/1/male_back_t_00000_1.bmp 0", "expected an image in Visible/"),
        ("Visible/1/absent.bmp 0", "Visible/1/absent.bmp is listed but does not exist"),
        ("SAME", "is listed twice"),
        ("Visible/stray.bmp 0", "expected Visible/IDENTITY/IMAGE"),
        ("Visible/x/male.bmp 0", "expected Visible/IDENTITY/IMAGE"),
        ("LABEL", "label"),
    ],
)
def test_regdb_bad_lines_name_file_and_line(tmp_path: Path, line: str, fragment: str) -> None:
    root = write_regdb(tmp_path)
    path = root / "idx" / "train_visible_3.txt"
    lines = path.read_text().splitlines()
    for stray in ("Visible/stray.bmp", "Visible/x/male.bmp"):
        write_text(root / stray, "")
    if line == "SAME":
        line = lines[0]
    elif line == "LABEL":
        name, label = lines.pop(1).split()
        line = f"{name} {int(label) + 1}"
    write_text(path, "\n".join([lines[0], "", line, *lines[1:]]))
    _fails(root, f"{path}:3", fragment, trial=3)


def test_regdb_one_label_for_two_identities(tmp_path: Path) -> None:
    root = write_regdb(tmp_path)
    path = root / "idx" / "test_thermal_1.txt"
    write_text(path, "\n".join(line.split()[0] + " 0" for line in path.read_text().splitlines()))
    _fails(root, f"{path}:3", "label")


def test_regdb_identity_in_both_parts(tmp_path: Path) -> None:
    root = write_regdb(tmp_path)
    for folder in ("visible", "thermal"):
        lines = (root / "idx" / f"train_{folder}_1.txt").read_text()
        write_text(root / "idx" / f"test_{folder}_1.txt", lines)
    _fails(root, "is in the training and the test part")


@pytest.mark.parametrize("camera_folders", [False, True])
@pytest.mark.parametrize("test_folders", [False, True])
def test_llcm(tmp_path: Path, camera_folders: bool, test_folders: bool) -> None:
    root = write_llcm(tmp_path, camera_folders=camera_folders)
    (root / "test_nir" / "cam7").mkdir()
    if not test_folders:
        for folder in ("vis", "nir"):
            for camera in (root / f"test_{folder}").iterdir():
                shutil.copytree(camera, root / folder / camera.name, dirs_exist_ok=True)
            shutil.rmtree(root / f"test_{folder}")
    dataset = open_dataset(root)
    assert dataset.layout == "llcm"
    for samples, people in ((dataset.train, (1, 2, 4)), (dataset.test, (3, 5))):
        expected = [(m, i, c, n) for m in (0, 1) for i in people for c in (1, 3) for n in (0, 1)]
        found = [(s.modality, s.identity, s.camera, int(s.path.name.split("_")[2][1:])) for s in samples]
        assert found == expected
        for path, identity, camera, modality in _facts(samples, root):
            assert f"{identity:04d}_c{camera:02d}_" in path
            assert path.removeprefix("test_").startswith(("vis", "nir")[modality])


def test_llcm_flaws(tmp_path: Path) -> None:
    root = write_llcm(tmp_path)
    write_text(root / "idx" / "test_id.txt", "3,5,6")
    _fails(root, "test_id.txt", "identity 6", "no image")
    write_text(root / "idx" / "test_id.txt", "3,5")
    shutil.copy(root / "vis/0001/0001_c01_s0_f0_vis.jpg", root / "vis/0001/nameless.jpg")
    with (root / "idx" / "train_vis.txt").open("a") as file:
        file.write("vis/0001/nameless.jpg 0\n")
    _fails(root, "train_vis.txt:13", "nameless.jpg")


def test_folder(tmp_path: Path) -> None:
    root = write_folder(tmp_path, identities=("eve", "ann 2", "0007"))
    (root / "visible" / "zoe").mkdir()
    shutil.copy(root / "visible" / "eve" / "0.png", root / "visible" / "zoe" / "cam12_a.png")
    (root / "infrared" / "eve" / "Thumbs.db").write_bytes(b"x")
    (root / "infrared" / ".trash").mkdir()
    dataset = open_dataset(root)
    assert dataset.layout == "folder"
    assert dataset.train == dataset.test
    numbers = {"0007": 0, "ann 2": 1, "eve": 2, "zoe": 3}
    expected = [
        (f"{folder}/{name}/{n}.png", numbers[name], 1 + m, m)
        for m, folder in enumerate(("visible", "infrared"))
        for name in ("0007", "ann 2", "eve")
        for n in (0, 1)
    ]
    assert sorted(_facts(dataset.train, root)) == sorted([*expected, ("visible/zoe/cam12_a.png", 3, 12, 0)])
    with pytest.raises(VireidError, match="identity zoe has no infrared image"):
        require_modalities(dataset, dataset.train, LossConfig())
    require_modalities(dataset, [s for s in dataset.train if s.identity != 3], LossConfig())


def test_folder_flaws(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "visible" / "nobody").mkdir()
    _fails(root, str(root / "visible" / "nobody"), "no image")
    shutil.rmtree(root / "visible")
    _fails(root, str(root / "visible"), "expected one folder of images per identity")


def test_roots_that_are_no_data_set(tmp_path: Path) -> None:
    _fails(tmp_path / "absent", f"{tmp_path / 'absent'}: ", "does not exist")
    _fails(tmp_path, f"{tmp_path}: ", "is empty")
    write_text(tmp_path / "photos" / "a.txt", "")
    _fails(tmp_path, "none of the known layouts", "cam1", "Visible", "vis, nir", "visible, infrared")
    _fails(tmp_path / "photos" / "a.txt", "is a file")
    write_folder(tmp_path / "inner" / "set")
    _fails(tmp_path / "inner", "did you mean", str(tmp_path / "inner" / "set"))


def test_a_part_without_images(tmp_path: Path) -> None:
    root = write_regdb(tmp_path, trials=[1])
    for folder in ("visible", "thermal"):
        write_text(root / "idx" / f"test_{folder}_1.txt", "")
    _fails(root, "the test part of this regdb layout has no image")


def test_incomplete_copy_is_recognised(tmp_path: Path) -> None:
    root = write_sysu(tmp_path)
    shutil.rmtree(root / "exp")
    _fails(root, str(root / "exp" / "train_id.txt"))
