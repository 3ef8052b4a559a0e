"""What lies behind the averages reaches the JSON and the page, of one run and of the mean of several."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from tests.tiny import tiny_run
from tests.trees import write_folder
from vireid.cli import main
from vireid.report.evaluation import write_evaluation
from vireid.runs.evaluation import evaluate
from vireid.types import VireidError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("runs")
    two = [tiny_run(folder, "schedule.epochs=1", f"training.seed={seed}", out=f"run{seed}") for seed in (0, 1)]
    return write_folder(folder / "other", ["a", "b", "c"], images=3, size=(48, 32)), two


def test_one_run_against_another(runs: tuple[Path, list[Path]], tmp_path: Path) -> None:
    root, (first, second) = runs
    evaluation = evaluate([first], root, against=second, cache=tmp_path, device=torch.device("cpu"))
    results, page = write_evaluation(evaluation, tmp_path / "out")
    content, text = json.loads(results.read_text()), re.sub(r"\s*<[^>]+>\s*", "|", page.read_text())
    for title in ("Detection error trade-off", "Pair by pair", "Alarm thresholds", "Against the other run"):
        assert title in text
    for name, analysis in content["analyses"].items():
        assert len(analysis["worst_ranks"][0]) == len(evaluation.analyses[name].worst_ranks[0])
        assert {cell["query"] for cell in analysis["cameras"]} <= {"camera 1", "camera 2"}
        point = analysis["thresholds"]["0.01"]
        assert f"{point['threshold']:.4f}" in text
        assert point["false_match_rate"] <= 0.01
        assert analysis["det"][0]["false_match_rate"] == 1
        cell = (analysis["modalities"] if "mixed" in name else analysis["cameras"])[0]
        row = [name, cell["query"], cell["gallery"], f"{cell['images']:.0f}", str(cell["valid_queries"])]
        assert "||".join([*row, f"{100 * cell['rank1']:.1f}", f"{100 * cell['map']:.1f}"]) in text
        difference = content["differences"][name]["map"]
        assert f"||map||{100 * difference['mean']:+.2f}||" in text
    assert content["against"] == {"run": "run1", "warnings": []}
    assert "Points, run0 minus run1; sign-flip permutation test over identities." in text
    mixed = next(a for name, a in content["analyses"].items() if "mixed" in name)
    assert {(cell["query"], cell["gallery"]) for cell in mixed["modalities"]} == {
        (a, b) for a in ("visible", "infrared") for b in ("visible", "infrared")
    }


def test_the_command_prints_the_difference_and_what_else_differs(
    runs: tuple[Path, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    root, (first, second) = runs
    other = tmp_path / "other"
    shutil.copytree(second, other)
    info = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(info | {"checkpoint_rule": "best validation mAP"}))
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", str(first), "--data", str(root), "--out", str(tmp_path / "out"), "--against", str(other)])
    assert exit_.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    (warning,) = content["against"]["warnings"]
    assert warning.startswith("differently chosen checkpoints' results are mixed")
    assert f"run0 minus other; sign-flip permutation test over identities; {warning}." in out
    for name, numbers in content["differences"].items():
        assert f"{name} map {100 * numbers['map']['mean']:+.2f} " in out


def test_runs_that_see_other_test_images_are_not_compared(runs: tuple[Path, list[Path]], tmp_path: Path) -> None:
    first, second = runs[1]
    own = second.parent / "set"  # on their own set both see the identities that were held out
    evaluate([first], own, against=second, cache=tmp_path, device=torch.device("cpu"))
    other = tiny_run(tmp_path, "schedule.epochs=1", "data.holdout=0.4", out="other")
    with pytest.raises(VireidError, match="on different queries or galleries"):
        evaluate([first], own, against=other, cache=tmp_path, device=torch.device("cpu"))


def test_the_mean_of_several_runs_has_intervals_and_worst_matches(
    runs: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    root, both = runs
    evaluation = evaluate(both, root, cache=tmp_path, device=torch.device("cpu"))
    results, page = write_evaluation(evaluation, tmp_path / "out")
    content, text = json.loads(results.read_text()), re.sub(r"\s*<[^>]+>\s*", "|", page.read_text())
    assert content["analyses"] == {}
    for result in content["results"]:
        low, high = result["intervals"]["map"]
        assert low <= result["mean"]["map"] <= high
    plain = content["results"][0]
    shown = [f"{100 * low:.1f} to {100 * high:.1f}" for low, high in plain["intervals"].values()]
    worst = [f"{rank:.0f}" for rank in plain["worst_quantiles"].values()]
    assert "||".join([plain["name"], *shown, *worst]) in text
