"""Plans of grids: what is refused before anything happens, what is shown, what is expected to take how long."""

import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from tests.reproduce.conftest import SMALL
from tests.tiny import OVERRIDES
from vireid.cli import main
from vireid.evaluation.records import DataRecord, EvaluationRecord, ResultRecord
from vireid.files import write_json
from vireid.recipes import load_recipe
from vireid.reproduce import command
from vireid.reproduce.command import Reproduction, plan_reproduction, record, with_images
from vireid.reproduce.grid import Grid, make_grid, quick_overrides
from vireid.reproduce.items import item
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import results_path
from vireid.reproduce.plan import Planned, State, make_plan, run_state
from vireid.reproduce.terminal import shown_plan
from vireid.synthetic.standards import standard
from vireid.types import FeatureKind, VireidError

pytestmark = pytest.mark.usefixtures("cache")


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
    assert any(line.startswith("all finished; runs are in") for line in lines)


def test_a_plan_of_all_tables_shows_a_shared_run_once(grid: Grid) -> None:
    lines = plan_lines(grid, ("table1", "table2", "table3", "fig1", "fig6"), [])
    (start,) = (i for i, line in enumerate(lines) if line.startswith("for "))
    rows = [line.split() for line in lines[start + 1 : start + 25]]
    assert {row[0] for row in rows[:14]} == {"table1"}
    assert [row[:2] for row in rows[14:16]] == [["table2", "AGW"], ["table2", "MMN"]]
    assert {row[0] for row in rows[16:]} == {"table3"}
    assert lines[start + 25].startswith("0 finished, 24 to train")


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
            line = ResultRecord(
                name="x",
                search="all",
                direction="infrared-to-visible",
                method="k-reciprocal",
                feature=FeatureKind.AFTER_BNNECK,
                flip_averaging=False,
                mean={},
            )
            record = EvaluationRecord(
                data=DataRecord("set"), results=(line,), identities={}, evaluation_seconds=evaluation
            )
            write_json(results_path(grid, each), record.to_dict())
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
            r".*set: does not fit recipe small: .* have 5 .* \(set data.identities=N or .*",
        ),
        ("table1", [], rf"{folder}: holds a run whose schedule.lr was 0.5 and is now 0.01; delete the folder to .*"),
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
        assert "0 finished, 14 to train, about" in out
        assert ("will be rendered first: synvi-1, 11,784 images" in out) == (not more)
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


def test_quick_says_so(grid: Grid) -> None:
    quick = make_grid(grid.data, grid.out, recipe="regdb-dfw", quick=True)
    assert quick.base.schedule.epochs == 12
    assert quick.base.schedule.milestones == (4, 10)
    assert quick.label.endswith("quick")
    assert quick_overrides(load_recipe("small"))[0] == "schedule.epochs=2"
    assert "quick" in record(quick, item("table1"), "", ["vireid"])
