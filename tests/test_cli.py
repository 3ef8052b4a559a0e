"""Mistakes on the command line: one line that names the thing, exit status 2, nothing half-written."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import OVERRIDES
from tests.trees import write_folder
from vireid.cli import main


def failing(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as exit_:
        main([str(a) for a in arguments])
    assert exit_.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vireid: ")
    return error


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["tran"], 'Did you mean "train"'),
        (["train", "--recipe", "sysu-dfw"], "--data"),
        (["train", "--recipe", "sysu-dfv", "--data", "x"], "did you mean sysu-dfw"),
        (["train", "--recipe", "sysu-dfw", "--data", "x", "loss.overlap.wieght=1"], "loss.overlap.weight"),
        (["train", "--recipe", "sysu-dfw", "--data", "x", "schedule.lr=fast"], "schedule.lr"),
        (["train", "--recipe", "sysu-dfw", "--data", "nowhere"], "nowhere"),
        (["evaluate", "nothing", "--data", "x"], "nothing"),
        (["evaluate", "--data", "x"], "at least one run"),
        (["score", "none.npz", "--protocol", "sysu"], "none.npz"),
        (["score", "none.npz", "--protocol", "market"], "market"),
        (["embed", "nothing", "x", "features.txt"], "features.txt"),
        (["data", "check", "nowhere"], "nowhere"),
        (["data", "render", "out", "--difficulty", "2"], "difficulty"),
    ],
)
def test_mistakes_are_one_line_with_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], named: str
) -> None:
    assert named in failing(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_training_images_leave_no_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", [f"p{i}" for i in range(6)], images=3)
    for path in root.rglob("1.png"):
        path.write_bytes(path.read_bytes()[:60])
    error = failing(capsys, "train", "--recipe", "regdb-dfw", "--data", root, *OVERRIDES)
    assert "1.png" in error
    assert not (tmp_path / "runs").exists()


def test_an_identity_of_one_modality_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", [f"p{i}" for i in range(6)], images=3)
    for folder in list((root / "infrared").iterdir()):
        for path in folder.iterdir():
            path.unlink()
        break
    error = failing(capsys, "train", "--recipe", "regdb-dfw", "--data", root, *OVERRIDES, "data.holdout=0.2")
    assert "infrared" in error


def test_score_names_the_array_and_row_of_a_nan(capsys: pytest.CaptureFixture[str]) -> None:
    features = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    features[2, 3] = np.nan
    ids = np.arange(4)
    np.savez("f.npz", query_features=features, gallery_features=features, query_ids=ids, gallery_ids=ids)
    error = failing(capsys, "score", "f.npz", "--protocol", "regdb")
    assert "query_features" in error
    assert "2" in error


def test_data_check_exits_1_where_something_is_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set")
    next(root.rglob("0.png")).write_bytes(b"")
    with pytest.raises(SystemExit) as exit_:
        main(["data", "check", str(root), "--json"])
    assert exit_.value.code == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert report["problems"][0]["kind"] == "unreadable"


def test_cost_prints_the_papers_figures(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["cost", "--json"])
    assert exit_.value.code == 0
    costs = json.loads(capsys.readouterr().out)
    assert f"{costs['baseline']['parameters'] / 1e6:.3f}" == "23.737"
    assert f"{costs['baseline']['macs_with_batchnorm'] / 1e9:.4f}" == "10.3018"
    assert f"{costs['regdb-dfw']['parameters'] / 1e6:.3f}" == "38.706"
    assert f"{costs['regdb-dfw']['macs_with_batchnorm'] / 1e9:.4f}" == "15.1504"
    assert all(c["peak_memory"] > 0 and c["images_per_second"] > 0 for c in costs.values())


@pytest.mark.parametrize("verb", ["demo", "train", "evaluate", "score", "cost", "embed", "data check", "data render"])
def test_help_explains_with_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit):
        main([*verb.split(), "--help"])
    assert f"vireid {verb}" in " ".join(capsys.readouterr().out.split("Example:")[1].split())
