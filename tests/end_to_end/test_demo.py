"""The demo in small, and what its run is then used for on the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import OVERRIDES, SMALL, no_bars
from tests.trees import write_folder, write_regdb
from vireid.cli import main
from vireid.demo import run_demo


def vireid(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(a) for a in arguments])
    return int(exit_.value.code or 0)


def test_the_report_shows_both_directions_chance_and_difficulty(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    text = re.sub(r"<[^>]+>", " ", page)
    for part in ("infrared to visible", "visible to infrared", "chance", "difficulty 0.0", "branch 2", "after DFW"):
        assert part in text, part
    results = json.loads((demo / "results.json").read_text())
    plain = [r for r in results["results"] if r["search"] == "all" and r["feature"] == "after BNNeck"]
    assert {r["direction"] for r in plain} == {"infrared-to-visible", "visible-to-infrared"}
    for result in plain:
        assert result["trials"] == 10
        assert result["gallery_identities"] == [4] * 10
        assert f"{100 * result['mean']['rank1']:.1f}" in text
        assert result["chance"]["rank1"] == pytest.approx(1 / 4)


def test_a_second_demo_uses_what_the_first_left(demo: Path) -> None:
    kept = [demo / "model.safetensors", demo.with_name("demo-data") / "cam1" / "0001" / "0001.jpg"]
    before = [p.stat().st_mtime_ns for p in kept]
    run_demo(demo, no_bars, SMALL, OVERRIDES)
    assert [p.stat().st_mtime_ns for p in kept] == before


def test_embed_then_score_gives_the_first_trial_of_evaluate(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "features.npz"
    assert vireid("embed", demo, demo.with_name("demo-data"), file) == 0
    capsys.readouterr()
    assert vireid("score", file, "--protocol", "sysu", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    expected = json.loads((demo / "results.json").read_text())["results"][0]["per_trial"][0]
    for name in ("rank1", "rank5", "rank10", "rank20", "map", "minp", "valid_queries"):
        assert scores[name] == pytest.approx(expected[name], abs=1e-6), name


def test_loose_images_are_embedded(demo: Path, tmp_path: Path) -> None:
    folder = demo.with_name("demo-data") / "cam3"
    assert vireid("embed", demo, folder, tmp_path / "f.npz", "--modality", "infrared") == 0
    with np.load(tmp_path / "f.npz") as arrays:
        assert len(arrays["embeddings"]) == len(arrays["paths"]) == 24
        np.testing.assert_allclose(np.linalg.norm(arrays["embeddings"], axis=1), 1, rtol=1e-5)


def test_evaluate_reports_each_option_on_its_own_line(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "set", images=2)
    assert vireid("evaluate", demo, "--data", root, "--flip", "--rerank", "--against", demo, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    results = content["results"]
    lines = {(r["direction"], r["feature"], r["flip_averaging"], r["rerank"]) for r in results}
    assert len(lines) == len(results) == 2 * 2 * 2 * 2 + 1  # both modalities at once is the last
    assert (demo / "evaluation" / "set" / "report.html").exists()
    names = {r["name"] for r in results}
    assert set(content["analyses"]) == set(content["differences"]) == names
    for numbers in content["differences"].values():  # of a run against itself
        assert numbers["map"] == {"mean": 0, "low": 0, "high": 0, "p": 1}
    for result in results[:1]:
        low, high = content["analyses"][result["name"]]["intervals"]["map"]
        assert low <= result["mean"]["map"] <= high


@pytest.mark.skipif(
    not (Path(__file__).parents[2].parent / "shared" / "data" / "real_pairs").exists(),
    reason="the real pairs are not shipped with the project",
)
def test_real_pairs_are_evaluated_both_ways(demo: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2].parent / "shared" / "data" / "real_pairs"
    assert vireid("evaluate", demo, "--data", root, "--out", tmp_path) == 0
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert {r["direction"] for r in results} >= {"visible-to-infrared", "infrared-to-visible"}
    assert "rendered people only" in (tmp_path / "report.html").read_text()


def test_regdb_runs_are_pooled_and_kept_to_their_own_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_regdb(tmp_path / "regdb", identities=8)
    small = [*OVERRIDES, "data.identities=2", "model.weights=none", "model.backbone=resnet18", "schedule.epochs=1"]
    for trial in (1, 2):
        assert vireid("train", "--recipe", "regdb-dfw", "--data", root, "--trial", trial, *small) == 0
    runs = ["runs/regdb-dfw-trial1", "runs/regdb-dfw-trial2"]
    capsys.readouterr()
    assert vireid("evaluate", *runs, "--data", root, "--json") == 0
    both = json.loads(capsys.readouterr().out)["results"][0]
    assert both["trials"] == 2
    assert vireid("evaluate", runs[0], "--data", root, "--trial", 2) == 2
    assert "trained on RegDB trial 1" in capsys.readouterr().err


def test_results_of_a_regdb_shaped_rendered_set(tmp_path: Path) -> None:
    assert vireid("data", "render", tmp_path / "set", "--like", "regdb", "--ids", 4, "--images", 1, "--height", 32,
                  "--width", 16) == 0  # fmt: skip
    assert vireid("data", "check", tmp_path / "set") == 0
