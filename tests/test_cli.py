"""Mistakes on the command line: one line that names the thing, exit status 2, nothing half-written."""

import json
import os
import subprocess
import sys
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
        (["evaluate", "--data", "x"], "at least one model"),
        (["score", "none.npz", "--protocol", "sysu"], "none.npz"),
        (["score", "none.npz", "--protocol", "duke"], "duke"),
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


def test_score_adds_every_way_of_ranking_beside_the_plain_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    ids, cameras = np.arange(40) % 10, np.arange(40) % 4
    sides = [generator.normal(size=(10, 8))[ids] + generator.normal(size=(40, 8)) for _ in range(2)]
    arrays = {
        f"{side}_{name}": value for side in ("query", "gallery") for name, value in (("ids", ids), ("cameras", cameras))
    }
    np.savez("f.npz", query_features=sides[0], gallery_features=sides[1], **arrays)
    flags = {"--rerank": "k-reciprocal", "--expand-queries": "query-expansion", "--camera-aware": "camera-aware"}
    for asked in ([], *([flag] for flag in flags), list(flags)):
        with pytest.raises(SystemExit) as exit_:
            main(["score", "f.npz", "--protocol", "llcm", "--json", *asked])
        assert exit_.value.code == 0
        scores = json.loads(capsys.readouterr().out)
        assert scores["method"] == "cosine"
        assert [part["method"] for part in scores["beside"]] == [flags[flag] for flag in asked]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"query_features": np.full((4, 3), np.inf)}, "query_features: row 0 holds NaN or infinite"),
        ({"gallery_features": np.zeros((4, 3))}, "gallery_features: row 0 is all zeros"),
        ({"gallery_features": np.ones((0, 3)), "gallery_ids": np.arange(0)}, "gallery_features: no embeddings"),
        ({"query_ids": np.array(["1", "2", "3", "4"])}, "gallery_ids: numbers, query_ids are strings"),
        ({"query_ids": np.arange(4) + 9}, "no query has a true match"),
        ({"query_cameras": None}, "query_cameras: array missing"),
    ],
)
def test_score_refuses_bad_input_in_one_line(
    capsys: pytest.CaptureFixture[str], change: dict[str, np.ndarray | None], named: str
) -> None:
    arrays = {f"{side}_{name}": np.arange(4) for side in ("query", "gallery") for name in ("ids", "cameras")}
    whole = arrays | {f"{side}_features": np.eye(4)[:, :3] + 1 for side in ("query", "gallery")} | change
    np.savez("f.npz", **{name: array for name, array in whole.items() if array is not None})
    assert named in failing(capsys, "score", "f.npz", "--protocol", "llcm", "--rerank")


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


@pytest.mark.parametrize(
    ("where", "words", "said"),
    [
        ("training.run.train", ["train", "--recipe", "small", "--data", "set"], "again with --resume to resume"),
        ("studies.tuning.tune", ["tune", "small", "--trials", "1"], "again to resume"),
    ],
)
def test_an_interrupted_command_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    where: str,
    words: list[str],
    said: str,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_folder(tmp_path / "set")
    monkeypatch.setattr(f"vireid.{where}", interrupted)
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 130
    assert capsys.readouterr().err == f"vireid: interrupted; run the same command {said}\n"


def test_a_reader_that_goes_away_is_no_mistake(tmp_path: Path) -> None:
    ids = np.arange(4)
    sides = {"query", "gallery"}
    features = {f"{s}_features": np.eye(4) for s in sides} | {f"{s}_ids": ids for s in sides}
    np.savez("f.npz", **features)
    read, write = os.pipe()
    os.close(read)
    code = "from vireid.cli import main; main(['score', 'f.npz', '--protocol', 'regdb', '--json'])"
    ended = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, timeout=120)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("verb", ["demo", "train", "evaluate", "score", "cost", "embed", "data check", "data render"])
def test_help_explains_with_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit):
        main([*verb.split(), "--help"])
    assert f"vireid {verb}" in " ".join(capsys.readouterr().out.split("Example:")[1].split())
