from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import yaml

from vireid.cli import main
from vireid.reproduce.ablation import both_ways, read_study
from vireid.reproduce.command import plan_reproduction, reproduce
from vireid.reproduce.differences import difference, paired
from vireid.reproduce.grid import Grid, make_grid
from vireid.reproduce.measured import read_results
from vireid.reproduce.runner import run_grid
from vireid.types import VireidError

STUDY = {
    "name": "weakening",
    "caption": "DFW",
    "recipe": "small",
    "seeds": 2,
    "set": ["data.erase=0"],
    "rows": {
        "off": {"set": ["model.weakening.after=[]"]},
        "features": {"set": ["model.weakening.gate=features"], "against": "off"},
    },
}


def written(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def lines(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_study_trains_its_rows_and_compares_them(grid: Grid, tmp_path: Path) -> None:
    study = read_study(written(tmp_path / "study.yaml", STUDY))
    grid = make_grid(grid.data, grid.out, recipe="small", seeds=2, overrides=(*grid.overrides, *study.set))
    plan = plan_reproduction("weakening", grid, study)
    assert len(plan.plan) == 4
    (folder,) = reproduce(plan, ["vireid"])
    assert {p.name for p in folder.iterdir()} == {
        *(f"weakening.{ending}" for ending in ("csv", "tex", "pdf", "png")),
        *("commands.txt", "differences.csv", "runs.csv"),
    }
    runs = lines(folder / "runs.csv")
    assert [(line["row"], line["seed"]) for line in runs] == [(r, s) for r in ("off", "features") for s in "01"]
    assert runs[0]["layer3/change"] == ""
    assert float(runs[2]["layer3/change"]) > 0
    by_row = {line["row"]: line for line in lines(folder / "weakening.csv")}
    for way, search in both_ways(grid).items():
        mean = {row: np.mean([float(r[f"{way}_r1"]) for r in runs if r["row"] == row]) for row in by_row}
        assert float(by_row["features"][f"{way}_r1"]) == pytest.approx(mean["features"], abs=1e-3)
        (change,) = (
            line
            for line in lines(folder / "differences.csv")
            if line["direction"] == search.direction and line["number"] == "r1"
        )
        assert (change["row"], change["against"]) == ("features", "off")
        assert float(change["difference"]) == pytest.approx(mean["features"] - mean["off"], abs=2e-3)
        assert float(by_row["features"][f"{way}_r1_change"]) == pytest.approx(float(change["difference"]), abs=1e-3)
        assert float(change["both_low"]) <= float(change["seeds_low"]) <= float(change["difference"])
    assert by_row["off"]["there_r1_change"] == ""
    assert [p.state for p in plan_reproduction("weakening", grid, study).plan] == ["finished"] * 4


def test_both_directions_of_one_search(grid: Grid) -> None:
    ways = both_ways(grid)
    assert {search.name for search in ways.values()} == {"all"}
    assert [s.direction for s in ways.values()] == ["infrared-to-visible", "visible-to-infrared"]
    assert ways["back"].title == "All search, visible to infrared"


def test_the_interval_over_seeds_is_students(grid: Grid) -> None:
    random = np.random.default_rng(0)
    counts = random.integers(1, 5, 7).astype(float)
    change = random.normal(size=(5, 7))
    found = difference(change, counts)
    by_seed = 100 * change.sum(1) / counts.sum()
    low, high = scipy.stats.t.interval(0.95, 4, by_seed.mean(), scipy.stats.sem(by_seed))
    assert (found.mean - found.seeds, found.mean + found.seeds) == pytest.approx((low, high))
    assert found.both > found.seeds
    # The same difference for every person: no variance over people.
    even = difference(np.outer([1.0, 2.0, 3.0], counts), counts)
    assert even.both == pytest.approx(even.seeds)
    # And for every seed: only the people vary, by the variance of a ratio of sums.
    one = difference(np.tile(change[0], (4, 1)), counts)
    rest = change[0] - change[0].sum() / counts.sum() * counts
    width = scipy.stats.t.ppf(0.975, 3) * np.sqrt(7 / 6 * np.square(rest).sum()) / counts.sum()
    assert (one.seeds, one.both) == pytest.approx((0, 100 * width))
    assert difference(change[:1], counts).seeds == np.inf


def test_the_interval_holds_what_it_says() -> None:
    """Of 400 studies whose true difference is 0, with noise of seeds and of people, few exclude it."""
    random = np.random.default_rng(1)
    counts = np.full(50, 8.0)
    missed = 0
    for _ in range(400):
        seeds, people = random.normal(0, 0.05, (5, 1)), random.normal(0, 0.3, (1, 50))
        found = difference((seeds + people + random.normal(0, 0.3, (5, 50))) * counts, counts)
        missed += abs(found.mean) > found.both
    assert missed < 0.06 * 400


def test_runs_on_other_queries_are_refused(grid: Grid) -> None:
    two = Grid(grid.data, grid.recipe, grid.overrides, 2, grid.out)
    run_grid(two, two.jobs())
    assert read_results(two, two.jobs()[0]) is not None
    search = two.searches[0]
    assert paired(two, two.jobs(), two.jobs(), search)["r1"].mean == 0
    path = two.folder(two.jobs()[1]) / "evaluation" / "set" / "results.json"
    content = json.loads(path.read_text())
    content["identities"] = {name: rows[1:] for name, rows in content["identities"].items()}
    path.write_text(json.dumps(content))
    with pytest.raises(VireidError, match="different queries"):
        paired(two, two.jobs(), two.jobs(), search)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": {"a": {"against": "b"}}}, "row a: against b, which is no row"),
        ({"rows": {}}, "rows: "),
        ({"seeds": 0}, "seeds: "),
        ({"name": "Up/../per"}, "name: "),
        ({"more": 1}, "more: unexpected"),
    ],
)
def test_a_wrong_study_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "study.yaml", STUDY | change)
    with pytest.raises(SystemExit):
        main(["reproduce", str(path), "--data", str(tmp_path)])
    printed = capsys.readouterr().err
    assert message in " ".join(printed.split())
    assert "study.yaml: not a study" in " ".join(printed.split())


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "name: x\ncaption: y\n"])
def test_what_is_no_study_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(VireidError, match="not a study"):
        read_study(path)
    with pytest.raises(VireidError, match="not a study"):
        read_study(tmp_path / "none.yaml")
