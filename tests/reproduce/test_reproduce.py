import csv
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.reproduce.conftest import SMALL
from tests.trees import write_folder
from vireid.cli import main
from vireid.files import write_json
from vireid.reproduce import command, runner
from vireid.reproduce.command import plan_reproduction, reproduce
from vireid.reproduce.grid import Grid, make_grid
from vireid.reproduce.items import item
from vireid.reproduce.jobs import Job, make_job
from vireid.reproduce.measured import results_path
from vireid.reproduce.plan import claimed, run_state
from vireid.reproduce.published import number, published
from vireid.reproduce.runner import run_grid, run_on
from vireid.reproduce.systems import systems
from vireid.reproduce.table1 import rows
from vireid.types import VireidError


def test_equal_settings_are_one_run_whatever_spells_them() -> None:
    assert make_job("small", ["data.erase=0.3"], 1) == make_job("small", [], 1)
    assert make_job("small", ["data.erase=0", "model.branches=1"], 0).name == "small--branches=1--erase=0-seed0"
    assert make_job("small", [], 0, trial=2).name == "small-seed0-trial2"
    mine = make_job("small", ["loss.my.losses:Focal.weight=0.5"], 0)
    assert re.fullmatch(r"small--loss\.my\.losses_Focal=weight--[0-9a-f]{8}-seed0", mine.name)
    assert mine.name != make_job("small", ["loss.my.losses:Focal.weight=1"], 0).name
    assert make_job("small", ["model.weights=/a/b"], 0).name != make_job("small", ["model.weights=/a_b"], 0).name


def test_tables_share_their_runs(grid: Grid) -> None:
    names = {name: {job.name for job in item(name).jobs(grid)} for name in ("table1", "table2", "fig3", "fig4", "fig5")}
    assert [len(found) for found in names.values()] == [14, 4, 8, 6, 6]
    assert len(names["table2"] & names["table1"]) == 2  # the baseline and the full method
    assert len(names["table1"] & names["fig3"]) == 2  # the baseline, and DFW as the recipe has it
    assert len(names["fig4"] & names["fig5"]) == 2  # no penalty, and lambda 1 with S 100
    paper = make_grid(grid.data, grid.out, recipe="small", seeds=1)
    assert {j.name for j in item("fig5").jobs(paper)} & {j.name for j in item("table1").jobs(paper)}


def test_table1_is_written_beside_the_printed_one(grid: Grid) -> None:
    plan = plan_reproduction("table1", grid)
    assert [p.state for p in plan.plan] == ["to train"] * 14
    assert all(p.seconds > 0 for p in plan.plan)
    (folder,) = reproduce(plan, ["vireid", "reproduce", "table1", "--data", str(grid.data)])
    assert {p.suffix for p in folder.iterdir()} == {".csv", ".tex", ".pdf", ".png", ".txt"}
    assert {p.name for p in folder.glob("*.csv")} == {"table1.csv", "differences.csv", "runs.csv"}
    with (folder / "table1.csv").open() as file:
        lines = list(csv.DictReader(file))
    printed = [line for line in lines if line["data"] == "SYSU-MM01 (paper)"]
    for line, source in zip(printed, published("table1"), strict=True):
        assert float(line["r1"]) == number(source["sysu_r1"])
        assert float(line["map"]) == number(source["sysu_map"])
    ours = [line for line in lines if line["source"] == "measured"]
    assert (len(ours), len(rows())) == (14, 8)
    with (folder / "differences.csv").open() as file:
        pairs = {(line["row"], line["against"]) for line in csv.DictReader(file)}
    both = "two branches, hetero-center"
    assert {("two branches", "none"), ("SLN", both), (f"DFW + {both}", both), (f"{both} + RE", both)} < pairs
    assert ("DFW + SLN + RE", "none") in pairs
    assert len(pairs) == 13
    assert all(line["data"] == grid.label and 0 <= float(line["r1"]) <= 100 for line in ours)
    tex = (folder / "table1.tex").read_text()
    for expected in (
        r"\toprule",
        "Published: SYSU-MM01 (paper)",
        "Measured: set (sysu layout)",
        "64.24",
        r"base\_width",
    ):
        assert expected in tex
    assert str(grid.data.parent) not in (folder / "commands.txt").read_text() + tex
    again = plan_reproduction("table1", grid)
    assert [p.state for p in again.plan] == ["finished"] * 14
    assert sum(p.steps for p in again.plan) == 0


def test_a_finished_run_whose_recipe_has_changed_is_named_and_refused(grid: Grid) -> None:
    job = grid.jobs()[0]
    run_grid(grid, [job])
    model = grid.folder(job) / "model.safetensors"
    model.rename(grid.out / "aside")
    assert run_state(grid, job) == "interrupted"
    (grid.out / "aside").rename(model)
    assert run_state(grid, job) == "finished"
    path = grid.folder(job) / "run.json"
    info = json.loads(path.read_text())
    write_json(path, info | {"recipe": info["recipe"] | {"loss": info["recipe"]["loss"] | {"identity": 0.7}}})
    with pytest.raises(VireidError, match=r"loss.identity was 0.7 and is now 1.0; delete the folder"):
        run_state(grid, job)
    write_json(path, info | {"fingerprint": "other"})
    with pytest.raises(VireidError, match="data was other"):
        run_state(grid, job)


def note(grid: Grid, job: Job, device: torch.device) -> None:
    """Stand in for training: a line per run that was worked on, once only."""
    done = grid.out / f"{job.name}.done"
    if not done.exists():
        time.sleep(0.1)
        with (grid.out / "log").open("a") as file:
            file.write(f"{job.name} {os.getpid()}\n")
        done.touch()


def fail(grid: Grid, job: Job, device: torch.device) -> None:
    if job.seed == 1:
        raise VireidError("the loss is nan")
    note(grid, job, device)


def test_two_devices_share_the_work_and_no_run_is_done_twice(grid: Grid) -> None:
    many = Grid(grid.data, grid.recipe, grid.overrides, 6, grid.out)
    grid.out.mkdir()
    run_on(many, many.jobs(), [torch.device("cpu")] * 2, note)
    lines = [line.split() for line in (grid.out / "log").read_text().splitlines()]
    assert sorted(name for name, _ in lines) == sorted(job.name for job in many.jobs())


def test_a_failing_run_stops_no_other_and_is_named_at_the_end(grid: Grid) -> None:
    many = Grid(grid.data, grid.recipe, grid.overrides, 3, grid.out)
    grid.out.mkdir()
    failures = run_on(many, many.jobs(), [torch.device("cpu")], fail)
    assert failures == {many.jobs()[1].name: "the loss is nan"}
    assert len((grid.out / "log").read_text().splitlines()) == 2


def test_a_failed_run_takes_only_the_tables_it_belongs_to(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "NAMES", ("fig6", "fig1"))
    (full,), (baseline, weakened) = (item(name).jobs(grid) for name in ("fig6", "fig1"))
    run_grid(grid, [baseline])
    path = grid.folder(baseline) / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    huge = {name: value * 1e30 if value.ndim == 4 else value for name, value in weights.items()}
    safetensors.torch.save_file(huge, path)  # finite, as a checkpoint has to be; what it makes of an image is not
    shutil.rmtree(grid.folder(baseline) / "evaluation")
    words = f"reproduce all --data {grid.data} --recipe small --seeds 1 --out {grid.out}".split()
    for _ in range(2):
        with pytest.raises(SystemExit) as exit_:
            main([*words, *SMALL])
        assert exit_.value.code == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error == (
            f"vireid: {grid.folder(baseline)}: its features are not finite; delete the folder to train it again, or "
            "lower schedule.lr; not written: fig1; fix this and run the same command again"
        )
        assert run_state(grid, full) == run_state(grid, weakened) == "finished"
        assert (grid.out / "fig6" / "commands.txt").is_file()
        assert not (grid.out / "fig1").exists()
        assert "Fig. 6" in (grid.out / "index.html").read_text()
    shutil.rmtree(grid.folder(baseline))
    reproduce(plan_reproduction("fig1", grid), ["vireid"])
    assert (grid.out / "fig1" / "commands.txt").is_file()


def test_a_run_that_another_process_holds_is_waited_for(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    two = Grid(grid.data, grid.recipe, grid.overrides, 2, grid.out)
    first, second = two.jobs()
    order: list[int] = []
    held = claimed(two.folder(first))
    assert held.__enter__()
    monkeypatch.setattr(runner.time, "sleep", lambda _: held.__exit__(None, None, None))
    assert run_state(two, first) == "running"
    work: Callable[[Grid, Job, torch.device], None] = lambda g, job, d: order.append(job.seed)  # noqa: E731
    assert runner.take_turns(two, [first, second], torch.device("cpu"), work) == {}
    assert order == [1, 0]


def test_the_compared_systems_are_the_recipes_that_are_not_sizes_of_ours() -> None:
    assert {"agw", "bridge", "caj", "hct", "mmn", "strong", "two-stream", "zero-padding"} <= set(systems())
    assert not {"sysu-dfw", "regdb-dfw", "llcm-dfw", "baseline", "demo", "small", "small-baseline"} & set(systems())
    assert not {"agw-shared", "hct-regdb", "deen-llcm", "baseline-regdb"} & set(systems())


def test_a_gallery_rule_is_asked_for_where_there_is_a_choice(grid: Grid, tmp_path: Path) -> None:
    plain = make_grid(grid.data, grid.out, recipe="small")
    other = make_grid(grid.data, grid.out, recipe="small", gallery="community")
    assert (plain.gallery_rule, other.gallery_rule) == ("official", "community")
    assert "community galleries" in other.protocol
    (job, *_), (same, *_) = plain.jobs(), other.jobs()
    assert job == same  # one run, measured by either rule into a file of its own
    assert results_path(plain, job).name == "results.json"
    assert results_path(other, job).name == "results-community.json"
    (grid.data / "exp" / "rand_perm_cam.mat").unlink()
    assert make_grid(grid.data, grid.out, recipe="small").gallery_rule == "community"
    with pytest.raises(VireidError, match=r"rand_perm_cam\.mat is not there; use --gallery community$"):
        make_grid(grid.data, grid.out, recipe="small", gallery="official")
    folder = write_folder(tmp_path / "plain", ["a", "b", "c", "d"], images=2, size=(48, 32))
    with pytest.raises(
        VireidError, match=r"^gallery: official is a choice for data in SYSU-MM01's layout, this is folder$"
    ):
        make_grid(folder, grid.out, recipe="small", gallery="official")
