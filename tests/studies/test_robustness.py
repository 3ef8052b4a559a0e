import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import tiny_run
from vireid.cli import main
from vireid.studies import robustness as module
from vireid.studies.robustness import RunScores, noise_table, score_models
from vireid.types import VireidError

STRENGTH_COUNT = 31
KINDS = ("Gaussian noise", "blur", "low light", "occlusion", "JPEG", "fog")


def made(run: str, accuracy: float) -> RunScores:
    number = {"rank1": accuracy, "map": accuracy}
    return RunScores(run, "set (rendered)", {"all": number}, {"all": {kind: [number] * 5 for kind in KINDS}})


def test_errors_relate_to_the_first_run() -> None:
    first, second = made("a", 0.5), made("b", 0.75)
    assert first.errors(first, "all", "map")["mean"] == 100
    assert second.errors(first, "all", "map") == dict.fromkeys((*KINDS, "mean"), 50)
    assert made("c", 1.0).errors(made("d", 1.0), "all", "map")["mean"] == 100  # nothing divided by nothing
    uneven = made("e", 0.5)
    uneven.corrupted["all"]["fog"] = [{"rank1": 0.5, "map": 0.25}] * 5
    assert uneven.errors(first, "all", "map")["fog"] == 150
    assert uneven.errors(first, "all", "map")["mean"] == pytest.approx(650 / 6)
    assert uneven.curve("all", "map") == pytest.approx([0.5, *[2.75 / 6] * 5])


def test_table_says_what_was_measured_on_what() -> None:
    table = noise_table([made("a", 0.5), made("b", 0.75)])
    assert [block.title for block in table.blocks] == ["R1 on set (rendered), all", "mAP on set (rendered), all"]
    assert all(block.source == "measured" for block in table.blocks)
    assert len(table.blocks[0].rows) == 14
    row = next(r for r in table.blocks[1].rows if r.keys == ("b", "mean"))
    assert {k: v.mean for k, v in row.values.items() if v} == dict.fromkeys(("clean", *"12345"), 75) | {"ce": 50}


def test_two_runs_by_command_then_again_from_what_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [tiny_run(tmp_path, "schedule.epochs=2", f"training.seed={seed}", out=f"run-{seed}") for seed in (0, 1)]
    out = tmp_path / "out"
    command = ["noise", *map(str, runs), "--data", str(tmp_path / "set"), "--out", str(out), "--json"]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert not ended.value.code
    report = json.loads(capsys.readouterr().out)
    assert list(report["runs"]) == ["run-0", "run-1"]
    for settings in report["runs"].values():
        for numbers in settings.values():
            assert {len(line) for line in numbers["map"]["accuracy"].values()} == {6}
            assert set(numbers["map"]["accuracy"]) == {"mean", *KINDS}
    lines = list(csv.DictReader((out / "noise.csv").read_text().splitlines()))
    assert len(lines) == 2 * 2 * 2 * 7  # settings of a folder, numbers, runs, corruptions and their mean
    assert r"\toprule" in (out / "noise.tex").read_text()
    assert (out / "noise.pdf").read_bytes().startswith(b"%PDF")
    for picture in ("noise.png", "corruptions.png"):
        with Image.open(out / picture) as image:
            image.verify()

    cells = sorted((out / "cells" / "run-1").iterdir())
    assert len(cells) == STRENGTH_COUNT
    cells[3].unlink()
    kept = json.loads(cells[5].read_text())
    cells[5].write_text(json.dumps(kept | {"key": "of another model"}))
    asked: list[tuple[str, int]] = []
    found = module._Work.scores
    monkeypatch.setattr(module._Work, "scores", lambda self, *cell: asked.append(cell) or found(self, *cell))
    again = score_models(runs, tmp_path / "set", out)
    assert len(asked) == 2  # the missing one and the one of another model
    assert json.loads(cells[5].read_text()) == kept
    for name, numbers in report["runs"]["run-1"].items():
        clean = {key: numbers[key]["accuracy"]["mean"][0] / 100 for key in numbers}
        assert again[1].clean[name] == pytest.approx(clean)
    cells[5].write_text("{")
    with pytest.raises(VireidError, match=rf"{cells[5].name}: not JSON; expected a result of vireid noise"):
        score_models(runs, tmp_path / "set", out)
    asked.clear()
    score_models(runs[:1], tmp_path / "set", out, gallery=True)
    assert len(asked) == STRENGTH_COUNT  # corrupted galleries are other results


def test_runs_must_differ_in_name(tmp_path: Path) -> None:
    for folders in ([], [tmp_path / "a" / "run", tmp_path / "b" / "run"]):
        with pytest.raises(VireidError, match="noise: expected one or more models of different names"):
            score_models(folders, None, tmp_path)
