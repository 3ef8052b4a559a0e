from pathlib import Path

import pytest

from tests.tiny import tiny_dataset
from tests.trees import write_regdb
from vireid.data.layouts import open_dataset
from vireid.training.split import fingerprint, folder_names, split_training, unseen
from vireid.types import VireidError


def test_folder_identities_are_split_the_same_way_for_every_seed(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "a", identities=10)
    first, none = split_training(dataset, holdout=0.5, validation=0, seed=0)
    assert none == ()
    assert split_training(dataset, 0.5, 0, seed=9)[0] == first
    assert len({s.identity for s in first}) == 5


def test_validation_identities_come_out_of_training(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "a", identities=10)
    everything = {s.identity for s in split_training(dataset, 0.5, 0, 0)[0]}
    kept, held = ({s.identity for s in part} for part in split_training(dataset, 0.5, 0.4, 3))
    assert len(held) == 2
    assert kept | held == everything
    assert not kept & held


@pytest.mark.parametrize(
    ("holdout", "validation", "field"), [(0.01, 0, "data.holdout"), (0.5, 0.01, "training.validation")]
)
def test_a_share_that_holds_nobody_out_is_refused(
    tmp_path: Path, holdout: float, validation: float, field: str
) -> None:
    with pytest.raises(VireidError, match=field):
        split_training(tiny_dataset(tmp_path / "a"), holdout, validation, 0)


def test_a_copy_of_a_tree_has_the_same_fingerprint(tmp_path: Path) -> None:
    first, copy = tiny_dataset(tmp_path / "a"), tiny_dataset(tmp_path / "b")
    assert fingerprint(first) == fingerprint(copy)
    assert fingerprint(first) != fingerprint(tiny_dataset(tmp_path / "c", identities=7))


def test_a_folder_run_is_tested_on_identities_it_never_saw(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "a", identities=8)
    trained = {s.identity for s in split_training(dataset, 0.5, 0, 0)[0]}
    info = {
        "layout": "folder",
        "trial": None,
        "data": str(dataset.root.resolve()),
        "fingerprint": fingerprint(dataset),
        "seen_folders": folder_names(s for s in dataset.train if s.identity in trained),
    }
    assert {s.identity for s in unseen(dataset, info).test} == {s.identity for s in dataset.test} - trained
    assert len(unseen(tiny_dataset(tmp_path / "a", identities=9), info).test) == 5 * 6  # one more person has come
    assert len(unseen(tiny_dataset(tmp_path / "copy", identities=8), info).test) == 4 * 6
    foreign = info | {"fingerprint": "of another tree", "data": "elsewhere"}
    assert unseen(dataset, foreign) is dataset


def test_a_regdb_run_is_refused_on_another_trial(tmp_path: Path) -> None:
    root = write_regdb(tmp_path / "regdb")
    info = {"layout": "regdb", "trial": 2, "fingerprint": "", "data": ""}
    assert unseen(open_dataset(root, trial=2), info).trial == 2
    with pytest.raises(VireidError, match=r"trial 3: this run was trained on RegDB trial 2"):
        unseen(open_dataset(root, trial=3), info)
