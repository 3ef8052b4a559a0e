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
from rich.console import Console

from tests.tiny import OVERRIDES
from tests.trees import write_sysu
from vireid.cli import main
from vireid.data.synthetic.standards import standard
from vireid.files import write_json
from vireid.recipes import load_recipe
from vireid.reproduce import command, runner
from vireid.reproduce.command import Reproduction, plan_reproduction, record, reproduce, with_images
from vireid.reproduce.grid import Grid, make_grid, quick_overrides
from vireid.reproduce.items import item
from vireid.reproduce.jobs import Job, make_job
from vireid.reproduce.measured import results_path
from vireid.reproduce.plan import Planned, State, claimed, make_plan, run_state
from vireid.reproduce.published import number, published
from vireid.reproduce.runner import run_grid, run_on
from vireid.reproduce.systems import systems
from vireid.reproduce.table1 import rows
from vireid.reproduce.terminal import shown_plan
from vireid.types import VireidError

SMALL = (*OVERRIDES, "schedule.epochs=1", "data.identities=2")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    root = write_sysu(tmp_path / "set", train=(1, 2, 3, 4), test=(6, 7, 8), images=2, size=(48, 32))
    return make_grid(root, tmp_path / "out", recipe="small", seeds=1, overrides=SMALL)


def test_equal_settings_are_one_run_whatever_spells_them() -> None:
    assert make_job("small", ["data.erase=0.3"], 1) == make_job("small", [], 1)
    assert make_job("small", ["data.erase=0", "model.branches=1"], 0).name == "small--branches=1--erase=0-seed0"
    assert make_job("small", [], 0, trial=2).name == "small-seed0-trial2"
    assert make_job("small", ["model.weights=/a/b"], 0).name != make_job("small", ["model.weights=/a_b"], 0).name


def test_tables_share_their_runs(grid: Grid) -> None:
    names = {name: {job.name for job in item(name).jobs(grid)} for name in ("table1", "table2", "fig3", "fig4", "fig5")}
    assert [len(found) for found in names.values()] == [8, 4, 8, 6, 6]
    assert len(names["table2"] & names["table1"]) == 2  # the baseline and the full method
    assert len(names["table1"] & names["fig3"]) == 2  # the baseline, and DFW as the recipe has it
    assert len(names["fig4"] & names["fig5"]) == 2  # no penalty, and lambda 1 with S 100
    paper = make_grid(grid.data, grid.out, recipe="small", seeds=1)
    assert {j.name for j in item("fig5").jobs(paper)} & {j.name for j in item("table1").jobs(paper)}


def test_unknown_tables_and_grids_that_do_not_fit_are_refused(grid: Grid) -> None:
    with pytest.raises(VireidError, match=r"expected one of table1, .* got table9"):
        plan_reproduction("table9", grid)
    large = make_grid(grid.data, grid.out, recipe="small", overrides=(*SMALL, "data.identities=16"))
    with pytest.raises(VireidError, match=r"does not fit recipe small: P: the data have 5 .*data.identities=N"):
        plan_reproduction("table1", large)
    with pytest.raises(VireidError, match="no DFW"):
        plan_reproduction("table1", make_grid(grid.data, grid.out, recipe="small-baseline"))
    with pytest.raises(VireidError, match="seeds: expected"):
        make_grid(grid.data, grid.out, seeds=0)


def plan_lines(grid: Grid, names: tuple[str, ...], states: list[State]) -> list[str]:
    """The lines of a plan at 80 columns; of its runs, first seeds first, the first have ``states``."""
    items = {name: item(name) for name in names}
    jobs = {job.name: job for one in items.values() for job in one.jobs(grid)}
    states += ["to train"] * (len(jobs) - len(states))
    left = {"finished": 0, "running": 30, "interrupted": 1000, "to train": 2000, "to evaluate": 0}
    ordered = sorted(jobs.values(), key=lambda job: job.seed)
    plan = tuple(Planned(j, s, left[s], left[s] / 10) for j, s in zip(ordered, states, strict=True))
    console = Console(width=80)
    with console.capture() as text:
        console.print(shown_plan(Reproduction(grid, items, plan)))
    return [line.rstrip() for line in text.get().splitlines()]


def test_a_plan_says_in_80_columns_which_seeds_of_a_row_are_left(grid: Grid) -> None:
    long = Grid(grid.data, grid.recipe, grid.overrides, 5, grid.out)
    waiting: list[State] = ["to train"] * 3
    states: list[State] = [*["finished"] * 6, "finished", "running", "interrupted", *waiting, *waiting, "finished"]
    lines = plan_lines(long, ("fig4",), states)
    found = {line.split("  ")[0]: line.split("  ", 1)[1].split() for line in lines if "train " in line[12:]}
    assert list(found) == ["no penalty", "S = 20", "S = 50", "S = 100", "S = 150", "S = 200"]
    assert " ".join(found["no penalty"]) == "0-1 finished; 2-4 to train 6,000 0:10:00"
    assert " ".join(found["S = 20"]) == "0 finished; 1 running; 2-4 to train 6,030 0:10:03"
    assert " ".join(found["S = 50"]) == "0 finished; 1 interrupted; 2-4 to train 7,000 0:11:40"
    assert " ".join(found["S = 100"]) == "0, 2 finished; 1, 3-4 to train 6,000 0:10:00"
    assert "30 runs on set (sysu layout)" in lines[0]
    assert "8 finished, 22 to train, about 1:" in lines[-3] + lines[-2]
    assert str(grid.out / "runs") in "".join(lines[-2:])
    lines = plan_lines(grid, ("fig6",), ["finished"])
    assert lines[0].startswith("1 run on set")
    assert any(line.startswith("all finished; runs lie in") for line in lines)


def test_a_plan_of_all_tables_shows_a_shared_run_once(grid: Grid) -> None:
    lines = plan_lines(grid, ("table1", "table2", "table3", "fig1", "fig6"), [])
    (start,) = (i for i, line in enumerate(lines) if line.startswith("for "))
    rows = [line.split() for line in lines[start + 1 : start + 17]]
    assert {row[0] for row in rows[:8]} == {"table1"}
    assert [row[:2] for row in rows[8:10]] == [["table2", "AGW"], ["table2", "MMN"]]
    assert {row[0] for row in rows[10:]} == {"table3"}
    assert lines[start + 17].startswith("0 finished, 16 to train")


def test_table1_is_written_beside_the_printed_one(grid: Grid) -> None:
    plan = plan_reproduction("table1", grid)
    assert [p.state for p in plan.plan] == ["to train"] * 8
    assert all(p.seconds > 0 for p in plan.plan)
    (folder,) = reproduce(plan, ["vireid", "reproduce", "table1", "--data", str(grid.data)], say=lambda _: None)
    assert {p.suffix for p in folder.iterdir()} == {".csv", ".tex", ".pdf", ".png", ".txt"}
    with (folder / "table1.csv").open() as file:
        lines = list(csv.DictReader(file))
    printed = [line for line in lines if line["data"] == "SYSU-MM01 (paper)"]
    for line, source in zip(printed, published("table1"), strict=True):
        assert float(line["r1"]) == number(source["sysu_r1"])
        assert float(line["map"]) == number(source["sysu_map"])
    ours = [line for line in lines if line["source"] == "measured"]
    assert len(ours) == len(rows()) == 8
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
    assert [p.state for p in again.plan] == ["finished"] * 8
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


def test_the_expected_time_counts_methods_and_evaluation(grid: Grid) -> None:
    def job(*overrides: str) -> Job:
        return grid.jobs(*overrides)[0]

    plain, joint, method = job(), job("data.joint=true"), job("model.methods.middle={}")
    waiting = (job("loss.identity=0.5"), job("data.joint=true", "loss.identity=0.5"))
    for each, seconds, evaluation in ((plain, 10.0, 3.0), (joint, 20.0, 5.0), (method, 40.0, None)):
        folder = grid.folder(each)
        folder.mkdir(parents=True)
        (folder / "model.safetensors").touch()
        info = {"recipe": each.recipe.to_dict(), "fingerprint": grid.fingerprint, "trial": None}
        write_json(folder / "run.json", info | {"training_seconds": seconds})
        if evaluation:
            results = {"results": [{"method": "k-reciprocal"}], "evaluation_seconds": evaluation}
            write_json(results_path(grid, each), results)
    plan = {planned.job.name: planned for planned in make_plan(grid, (plain, joint, method, *waiting))}
    assert [plan[each.name].state for each in (plain, joint, method)] == ["finished", "finished", "to evaluate"]
    assert [plan[each.name].seconds for each in (plain, joint, method)] == [0, 0, 4]
    assert [plan[each.name].seconds for each in waiting] == pytest.approx([14, 24])
    grid.folder(method).rename(grid.out / "aside")
    grid.folder(joint).rename(grid.out / "aside-too")
    unknown = (job("model.branches=4"), joint, method)
    more = {planned.job.name: planned.seconds - 3 for planned in make_plan(grid, (plain, *unknown))}
    assert more[unknown[0].name] > 11
    assert more[joint.name] == pytest.approx(15)  # three images for two
    assert more[method.name] > 11
    lines = plan_lines(grid, ("fig6",), ["to evaluate"])
    assert any(line.startswith("0 finished, 0 to train, 1 to evaluate, about") for line in lines)


def test_the_command_refuses_in_one_line_and_leaves_what_is_there(
    grid: Grid, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = grid.folder(grid.jobs()[0])
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    recipe = grid.base.to_dict()
    other = recipe | {"schedule": recipe["schedule"] | {"lr": 0.5}}
    write_json(folder / "run.json", {"recipe": other, "fingerprint": grid.fingerprint, "trial": None})
    where = f"--data {grid.data} --recipe small --seeds 1 --out {grid.out}".split()
    for name, more, said in (
        ("table9", [], r"reproduce: expected one of table1, table2, .* or all, got table9"),
        (
            "table1",
            ["data.identities=16"],
            r".*set: does not fit recipe small: .* have 5 .* \(data.identities=N or .*",
        ),
        ("table1", [], rf"{folder}: holds a run of which schedule.lr was 0.5 and is now 0.01; delete the folder to .*"),
    ):
        with pytest.raises(SystemExit) as exit_:
            main(["reproduce", name, *where, *SMALL, *more])
        out, error = capsys.readouterr()
        assert exit_.value.code == 2
        assert out == ""
        assert re.fullmatch(rf"vireid: {said}\n", error)  # a dot is no line break
    assert [path.name for path in (grid.out / "runs").iterdir() if path.is_dir()] == [folder.name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table9"], "expected one of table1"),
        (["fig6", "--recipe", "nosuch"], "nosuch"),
        (["table1", "--recipe", "small-baseline"], "has no DFW"),
        (["fig6", "--seeds", "0"], "seeds: expected"),
        (["fig6", "schedule.lr=high"], "schedule.lr"),
        (["fig6", "schedule.rate=1"], "schedule.rate"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_rendered(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "write_standard", lambda *_: pytest.fail("rendered"))
    with pytest.raises(SystemExit) as exit_:
        main(["reproduce", *words, "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_dry_run_creates_nothing(grid: Grid, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["reproduce", "table1", "--dry-run", "--seeds", "1", "--out", str(grid.out), "--recipe", "small"]
    for more in ([], ["--data", str(grid.data)]):
        with pytest.raises(SystemExit) as exit_:
            main([*words, *more, *SMALL])
        assert not exit_.value.code
        out = capsys.readouterr().out
        assert "0 finished, 8 to train, about" in out
        assert ("not there yet and rendered first: synvi-1, 11,784 images" in out) == (not more)
        assert not grid.out.exists()


def test_the_standard_set_is_rendered_between_the_plan_and_the_runs(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_reproduction("fig6", make_grid(None, tmp_path / "out", seeds=1, overrides=OVERRIDES))
    assert plan.grid.unrendered
    assert (plan.grid.recipe, plan.grid.data_name) == ("small", "synvi-1 (rendered)")

    def write(root: Path, *_: object) -> None:
        shutil.copytree(grid.data, root)
        write_json(root / "synthetic.json", standard("synvi-1").settings.record())

    monkeypatch.setattr(command, "write_standard", write)
    (job,) = item("fig6").jobs(plan.grid)
    other = tmp_path / "out" / "runs" / job.name
    other.mkdir(parents=True)
    write_json(other / "run.json", {"recipe": job.recipe.to_dict(), "fingerprint": "other", "trial": None})
    assert run_state(plan.grid, job) == "interrupted"
    with pytest.raises(VireidError, match="data was other"):
        with_images(plan)
    shutil.rmtree(other)
    ready = with_images(plan)
    assert not ready.grid.unrendered
    assert len(ready.grid.dataset.train) == len(grid.dataset.train)
    assert with_images(ready) is ready


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
            "lower schedule.lr; not written: fig1; mend that and run the same command again"
        )
        assert run_state(grid, full) == run_state(grid, weakened) == "finished"
        assert (grid.out / "fig6" / "commands.txt").is_file()
        assert not (grid.out / "fig1").exists()
        assert "Fig. 6" in (grid.out / "index.html").read_text()
    shutil.rmtree(grid.folder(baseline))
    reproduce(plan_reproduction("fig1", grid), ["vireid"], say=lambda _: None)
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


def test_quick_says_so(grid: Grid) -> None:
    quick = make_grid(grid.data, grid.out, recipe="regdb-dfw", quick=True)
    assert quick.base.schedule.epochs == 12
    assert quick.base.schedule.milestones == (4, 10)
    assert quick.label.endswith("quick")
    assert quick_overrides(load_recipe("small"))[0] == "schedule.epochs=2"
    assert "quick" in record(quick, "table1", "", ["vireid"])


def test_the_compared_systems_are_the_recipes_that_are_not_sizes_of_ours() -> None:
    assert {"agw", "bridge", "caj", "hct", "mmn", "strong", "two-stream", "zero-padding"} <= set(systems())
    assert not {"sysu-dfw", "regdb-dfw", "llcm-dfw", "baseline", "demo", "small", "small-baseline"} & set(systems())
