"""A CSV list: what it says, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.datasets import features
from tests.trees import write_manifest, write_text
from vireid.data.layouts import open_dataset
from vireid.evaluation import score_setting, settings_for
from vireid.layouts.manifest import MAX_LINE
from vireid.synthetic import synthetic_set
from vireid.training.split import fingerprint
from vireid.types import Modality, VireidError

V, I = Modality.VISIBLE, Modality.INFRARED  # noqa: E741


def fails(file: Path, *fragments: str) -> None:
    with pytest.raises(VireidError) as caught:
        open_dataset(file)
    assert "\n" not in str(caught.value)
    assert all(fragment in str(caught.value) for fragment in fragments), caught.value


def test_rows_become_samples(tmp_path: Path) -> None:
    dataset = open_dataset(write_manifest(tmp_path))
    assert (dataset.layout, dataset.name, dataset.root) == ("manifest", "list.csv", tmp_path)
    facts = [(s.path.name, s.identity, s.camera, s.modality) for s in dataset.train]
    assert facts == [
        (f"{'vi'[m]}-{name}-{c}-{n}.png", i, c, m)
        for m, cameras in ((V, (1, 2)), (I, (11, 12)))
        for i, name in enumerate(("ann", "bob", "eve"))
        for c in cameras
        for n in (0, 1)
    ]
    assert {dataset.identity_name(s) for s in dataset.test} == {"kim", "zoe"}
    assert dataset.queries is None


def test_columns_in_any_order_quoted_cells_and_empty_cameras(tmp_path: Path) -> None:
    file = write_manifest(tmp_path)
    path = file.read_text().splitlines()[1].split(",")[0]
    (tmp_path / "a, b.png").write_bytes((tmp_path / path).read_bytes())
    write_text(
        file,
        "\ufeffsplit,modality,camera,identity,path\r\n"
        f'test,Visible,," kim ","{path}"\r\n\r\n'
        'test,INFRARED,, kim ,"./a, b.png"\r\n',
    )
    dataset = open_dataset(file)
    assert dataset.train == ()
    assert [(s.path.name, s.camera, s.modality) for s in dataset.test] == [(Path(path).name, 1, V), ("a, b.png", 2, I)]


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("images/v-ann-1-0.png,ann,1,visible", "expected 5 cells, got 4"),
        ("images/v-ann-1-0.png,ann,1,visible,train,more", "expected 5 cells, got 6"),
        ("/etc/passwd,ann,1,visible,train", "path: expected a path below the folder of this file"),
        ("../images/v-ann-1-0.png,ann,1,visible,train", "path: expected a path below"),
        ("images/../../x.png,ann,1,visible,train", "path: expected a path below"),
        (",ann,1,visible,train", "path: expected"),
        ("images,ann,1,visible,train", "'images' is listed but does not exist"),
        ("gone.png,ann,1,visible,train", "'gone.png' is listed but does not exist"),
        (f"{'x' * 3000}.png,ann,1,visible,train", "is listed but does not exist"),
        ("images/v-ann-1-0.png,bob,2,visible,test", "is listed twice, first in line 2"),
        ("./images//v-ann-1-0.png,ann,1,visible,train", "is listed twice"),
        ("new.png,,1,visible,train", "identity: expected a name"),
        ("new.png,\x1b[2J,1,visible,train", "identity: expected a name of printable"),
        ("new.png,ann,-1,visible,train", "camera: expected a whole number"),
        ("new.png,ann,1.5,visible,train", "camera: expected a whole number"),
        ("new.png,ann,99999999999999999999,visible,train", "camera: expected a whole number"),
        ("new.png,ann,1,thermal,train", "modality: expected visible or infrared, got 'thermal'"),
        ("new.png,ann,1,visible,val", "split: expected train, test, query, gallery, got 'val'"),
        ("new\0.png,ann,1,visible,train", "NUL byte"),
        ('new.png,"ann,1,visible,train', "comma-separated"),
        ("x" * (MAX_LINE + 10), f"at most {MAX_LINE:,} bytes"),
        ("new.png,ann,1,visible,train\udcff", "UTF-8"),
        ("new.png,ann,1,visible,gallery", "test lines and query or gallery lines"),
        ("new.png,kim,1,visible,train", "identity kim is in the training and the test part"),
        ("new.png,new,1,visible,train", "training identity new has no infrared image"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, line: str, fragment: str) -> None:
    file = write_manifest(tmp_path)
    (tmp_path / "new.png").write_bytes(b"x")
    lines = file.read_text().splitlines()
    whole = any(word in fragment for word in ("query or", "part", "has no"))
    file.write_bytes("\n".join([*lines[:4], line, *lines[4:]]).encode(errors="surrogateescape"))
    fails(file, fragment, str(file) if whole else f"{file}:5: ")


@pytest.mark.parametrize("header", ["", "path,identity,camera,modality", "path,identity,camera,modality,part", "a\n1"])
def test_the_header_is_needed(tmp_path: Path, header: str) -> None:
    write_text(tmp_path / "list.csv", header)
    fails(tmp_path / "list.csv", "path,identity,camera,modality,split")


def test_one_line_may_point_through_a_link_of_the_users(tmp_path: Path) -> None:
    file = write_manifest(tmp_path / "elsewhere")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "images").symlink_to(tmp_path / "elsewhere" / "images")
    write_text(tmp_path / "mine" / "list.csv", file.read_text())
    assert len(open_dataset(tmp_path / "mine" / "list.csv").train) == 24


def test_other_files_and_lists_without_test_lines(tmp_path: Path) -> None:
    write_text(tmp_path / "list.txt", "path")
    fails(tmp_path / "list.txt", "is a file", ".csv")
    fails(tmp_path / "no.csv", "does not exist")
    file = write_manifest(tmp_path, test=())
    fails(file, "the test part of this manifest layout has no image")


def test_queries_and_gallery_lines_are_nothing_else(tmp_path: Path) -> None:
    dataset = open_dataset(write_manifest(tmp_path, images=3, queries=True))
    assert dataset.queries == tuple(range(8))
    to_visible, to_infrared = settings_for(dataset)
    assert (to_visible.direction, to_infrared.direction) == ("infrared-to-visible", "visible-to-infrared")
    for setting, modality in ((to_visible, I), (to_infrared, V)):
        (trial,) = setting.trials
        assert all(row < 8 and dataset.test[row].modality == modality for row in trial.query)
        assert all(row >= 8 and dataset.test[row].modality != modality for row in trial.gallery)
        assert (len(trial.query), len(trial.gallery)) == (4, 8)
        assert not setting.official
    lines = [line for line in (tmp_path / "list.csv").read_text().splitlines() if not line.endswith("gallery")]
    write_text(tmp_path / "list.csv", "\n".join(lines))
    fails(tmp_path / "list.csv", "has query lines and no gallery lines")


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_of_one_modality_every_image_is_searched_in_all_others(tmp_path: Path, modality: str) -> None:
    dataset = open_dataset(write_manifest(tmp_path, modalities=(modality,)))
    (setting,) = settings_for(dataset)
    assert setting.direction == f"{modality}-to-{modality}"
    found = score_setting(features(dataset), setting).trials[0]
    assert found.matches.tolist() == [2] * 8  # by the other camera, of which there are two images
    assert found.candidates.tolist() == [6] * 8


def test_who_is_on_the_images_counts_for_the_fingerprint(tmp_path: Path) -> None:
    first, other = (write_manifest(tmp_path / name) for name in "ab")
    assert fingerprint(open_dataset(first)) == fingerprint(open_dataset(other))
    write_text(other, other.read_text().replace("zoe,", "kim,"))
    assert fingerprint(open_dataset(first)) != fingerprint(open_dataset(other))


def test_it_cannot_be_rendered() -> None:
    with pytest.raises(VireidError, match="like: manifest cannot be rendered; expected one of sysu, regdb"):
        synthetic_set("manifest")
