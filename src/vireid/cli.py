"""The command line: one verb per job, no logic of its own."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

# Read when PyTorch is first imported: threads that wait spin for microseconds and then sleep. A little slower than
# endless spinning on an idle machine, much faster where another process wants the core (docs/performance.md).
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

import torch

import vireid
from vireid.recipes import load_recipe, recipe_fields, shipped_recipes
from vireid.types import Layout, Modality, VireidError

if TYPE_CHECKING:
    from vireid.evaluation.ranked import Method

Data = Annotated[Path, Parameter(help="Root folder of SYSU-MM01, RegDB, LLCM, or a plain folder set.")]
OwnData = Annotated[
    Path | None,
    Parameter(help="Root folder of the data set; none where a recipe renders its own (data.kind=synthetic)."),
]
Flag = Parameter(negative="")
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
Recipe = Annotated[str, Parameter(help=f"A YAML file or one of {', '.join(shipped_recipes())}.")]
Level = Annotated[float | None, Parameter(help="This part of the difficulty.")]
Run = Annotated[Path, Parameter(help="Run folder that vireid train wrote.")]
Rerank = Annotated[bool, Flag, Parameter(help="Add lines with k-reciprocal re-ranking.")]
ExpandQueries = Annotated[bool, Flag, Parameter(help="Add lines with query expansion.")]
CameraAware = Annotated[bool, Flag, Parameter(help="Add lines with similarities corrected per camera pair.")]


def _fields() -> str:
    rows = [f"| `{name}` | `{default}` | {text} |" for name, _, default, text in recipe_fields()]
    return "\n".join(["**Recipe fields**", "", "| field | default | meaning |", "|---|---|---|", *rows])


app = App(
    name="vireid",
    help="Find the same person across day and night cameras: visible-infrared person re-identification.",
    version=vireid.__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # main says how to go on
)
data = App(name="data", help="Check a data set, or render a synthetic one.")
app.command(data)


@app.command
def demo(
    *, out: Annotated[Path, Parameter(help="Run folder; the rendered set lies beside it.")] = Path("runs/demo")
) -> None:
    """Render a synthetic day-and-night set, train the full method on it, evaluate it both ways, write a report.

    Example: `vireid demo`
    """
    from vireid.demo import run_demo

    with _bars() as bars:
        report = run_demo(out, bars)
    program = os.path.relpath(sys.argv[0]) if os.sep in sys.argv[0] else "vireid"
    print(
        f"\nThe report is {report}\n\nNext, try:\n"
        f"  {program} evaluate {out} --data {out}-data --flip --rerank\n"
        f"  {program} embed {out} {out}-data features.npz && {program} score features.npz --protocol sysu\n"
        f"  {program} data render runs/regdb-like --like regdb --ids 40 --images 2\n"
        f"With a real set: {program} train --recipe sysu-dfw --data PATH_OF_SYSU-MM01"
    )


@data.command(name="check")
def data_check(path: Data, *, as_json: Json = False) -> int:
    """Recognise the layout, count against the published sizes, open every image, list what is wrong.

    Exit status 1 where something is wrong. Example: `vireid data check ~/data/SYSU-MM01`
    """
    from dataclasses import asdict

    from vireid.data.check import check
    from vireid.reporting.terminal import check_tables

    with _bars() as bars:
        report = check(path, progress=bars("images opened"))
    if as_json:
        _print_json(asdict(report) | {"root": str(report.root), "ok": report.ok})
    else:
        for table in check_tables(report):
            Console().print(table)
    return 0 if report.ok else 1


@data.command(name="render")
def data_render(
    out: Annotated[Path, Parameter(help="Folder to write; must not exist or be empty.")],
    *,
    like: Annotated[Layout, Parameter(help="Layout of the tree.")] = "sysu",
    ids: Annotated[int | None, Parameter(help="Identities; by default as many as the real set has.")] = None,
    images: Annotated[
        int | None, Parameter(help="Images per identity and camera; by default as many as the real set has.")
    ] = None,
    seed: Annotated[int, Parameter(help="Same seed, same bytes.")] = 0,
    difficulty: Annotated[float, Parameter(help="From 0, clean, to 1, hard; of all parts not given below.")] = 0.3,
    viewpoint: Level = None,
    light: Level = None,
    occlusion: Level = None,
    crop: Level = None,
    noise: Level = None,
    resolution: Level = None,
    lookalikes: Level = None,
    height: Annotated[int, Parameter(help="Of the images in pixels.")] = 288,
    width: Annotated[int, Parameter(help="Of the images in pixels.")] = 144,
    infrared: Annotated[
        Literal["near", "thermal"] | None, Parameter(help="By default thermal for regdb, near for the others.")
    ] = None,
    masks: Annotated[bool, Flag, Parameter(help="Write the people's silhouettes too.")] = False,
    standard: Annotated[
        str | None, Parameter(help="A standard set, synvi-1; it decides everything but the folder.")
    ] = None,
) -> None:
    """Render a synthetic day-and-night set in the layout and, by default, the size of a real one.

    An interrupted command goes on where it stopped when it is given again.

    Example: `vireid data render synthetic --like regdb --ids 40`
    """
    from vireid.data.synthetic import Difficulty, synthetic_set, write_tree
    from vireid.data.synthetic.standards import write_standard

    parts = {
        "viewpoint": viewpoint,
        "light": light,
        "occlusion": occlusion,
        "crop": crop,
        "noise": noise,
        "resolution": resolution,
        "lookalikes": lookalikes,
    }
    given = {name: level for name, level in parts.items() if level is not None}
    settings = synthetic_set(
        like,
        ids,
        images=images,
        seed=seed,
        difficulty=replace(Difficulty.even(difficulty), **given),
        height=height,
        width=width,
        infrared=infrared,
        masks=masks,
    )
    if standard is not None and settings != synthetic_set():
        raise VireidError("standard: decides everything but the folder; leave the other options out")
    with _bars() as bars:
        if standard is not None:
            write_standard(out, standard, bars("images rendered"))
        else:
            write_tree(out, settings, bars("images rendered"))


@app.command(help_epilogue=_fields())
def train(
    *overrides: Annotated[str, Parameter(help="FIELD=VALUE pairs that override the recipe's fields below.")],
    recipe: Recipe,
    data: OwnData = None,
    out: Annotated[Path | None, Parameter(help="Run folder; runs/RECIPE by default, with the trial for RegDB.")] = None,
    trial: Annotated[int, Parameter(help="Split of RegDB, 1 to 10.")] = 1,
    resume: Annotated[bool, Flag, Parameter(help="Continue the run in the folder, bit for bit.")] = False,
) -> None:
    """Train a recipe on a data set's training identities.

    Example: `vireid train --recipe regdb-dfw --data ~/data/RegDB --trial 2 loss.overlap.weight=0.5`
    """
    from vireid.data.layouts import open_data
    from vireid.training.train import train as run_training

    settings = load_recipe(recipe, overrides)
    dataset = open_data(settings.data, data, trial)
    suffix = f"-trial{dataset.trial}" if dataset.trial else ""
    folder = out or Path("runs") / f"{settings.name}{suffix}"
    with _bars() as bars:
        run_training(settings, dataset, folder, resume=resume, progress=bars("images decoded"))
    print(f"The run is {folder}\n\nNext: vireid evaluate {folder}{f' --data {data}' if data else ''}")


@app.command
def evaluate(
    *runs: Run,
    data: OwnData = None,
    out: Annotated[
        Path | None, Parameter(help="Where results.json and report.html go; RUN/evaluation/DATA by default.")
    ] = None,
    trial: Annotated[int | None, Parameter(help="Split of RegDB; by default the run's own.")] = None,
    gallery: Annotated[
        Literal["official", "community"] | None,
        Parameter(help="How SYSU-MM01 galleries are drawn; by default official where rand_perm_cam.mat is."),
    ] = None,
    multi_shot: Annotated[bool, Flag, Parameter(help="Add SYSU-MM01's multi-shot galleries.")] = False,
    flip: Annotated[bool, Flag, Parameter(help="Add lines with flip averaging.")] = False,
    rerank: Rerank = False,
    expand_queries: ExpandQueries = False,
    camera_aware: CameraAware = False,
    against: Annotated[Path | None, Parameter(help="Another run, to test the first one against.")] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a run, or the mean of several, on a data set's test identities, and write results and a report.

    Example: `vireid evaluate runs/regdb-dfw-trial1 runs/regdb-dfw-trial2 --data ~/data/RegDB --rerank`
    """
    from vireid.reporting.evaluate import evaluate_runs
    from vireid.reporting.page import write_evaluation
    from vireid.reporting.terminal import result_tables

    if not runs:
        raise VireidError(
            "evaluate: expected at least one run folder, for example vireid evaluate runs/demo --data PATH"
        )
    with _bars() as bars:
        evaluation = evaluate_runs(
            runs,
            data,
            trial=trial,
            gallery=gallery,
            multi_shot=multi_shot,
            flip=flip,
            beside=_beside(rerank, expand_queries, camera_aware),
            against=against,
            progress=bars("images"),
        )
    results, page = write_evaluation(evaluation, out or runs[0] / "evaluation" / evaluation.dataset.root.resolve().name)
    if as_json:
        _print_json(evaluation.to_dict())
    else:
        for table in result_tables(evaluation.results):
            Console().print(table, "")
        print(f"Results: {results}\nReport:  {page}")


@app.command
def score(
    file: Annotated[Path, Parameter(help="A .npz of query_* and gallery_* features, ids and cameras.")],
    *,
    protocol: Annotated[Literal["sysu", "regdb", "llcm", "folder"], Parameter(help="Whose rules apply.")],
    rerank: Rerank = False,
    expand_queries: ExpandQueries = False,
    camera_aware: CameraAware = False,
    as_json: Json = False,
) -> None:
    """Score features of any model: CMC, mAP and mINP of one query set against one gallery.

    Example: `vireid score features.npz --protocol sysu --json`
    """
    from vireid.evaluation.scoring import score_file
    from vireid.reporting.terminal import score_table

    scores = score_file(file, protocol, _beside(rerank, expand_queries, camera_aware))
    if as_json:
        _print_json(scores)
    else:
        Console().print(score_table(scores))


@app.command
def cost(
    *overrides: Annotated[str, Parameter(help="FIELD=VALUE pairs that override the recipe's fields.")],
    recipe: Annotated[str | None, Parameter(help="A recipe; by default the paper's baseline and full model.")] = None,
    as_json: Json = False,
) -> None:
    """Print parameters, multiply-accumulates, peak memory and speed of embedding (Table 2).

    Example: `vireid cost --recipe sysu-dfw model.branches=3`
    """
    from vireid.models.cost import measure_alone
    from vireid.reporting.terminal import cost_table
    from vireid.training.device import default_device

    names = (recipe,) if recipe else ("baseline", "regdb-dfw")
    recipes = [load_recipe(name, overrides) for name in names]
    costs = {r.name: measure_alone(r.model, r.data.height, r.data.width, default_device()) for r in recipes}
    if as_json:
        _print_json({name: c.to_dict() for name, c in costs.items()})
    else:
        Console().print(cost_table(costs))


@app.command
def embed(
    run: Run,
    source: Annotated[Path, Parameter(help="A data set; or, with --modality, an image or a folder of images.")],
    out: Annotated[Path, Parameter(help="The .npz file to write.")],
    *,
    modality: Annotated[Literal["visible", "infrared"] | None, Parameter(help="Of loose images.")] = None,
    flip: Annotated[bool, Flag, Parameter(help="Average with the mirrored image.")] = False,
) -> None:
    """Write the features of a data set's test part, or of loose images.

    Example: `vireid embed runs/demo photos/ features.npz --modality visible`
    """
    from vireid.reporting.export import write_features

    kind = None if modality is None else Modality[modality.upper()]
    with _bars() as bars:
        count = write_features(run, source, out, modality=kind, flip=flip, progress=bars("images"))
    print(f"{count} features: {out}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit 2 with one line on a user's mistake, 130 when interrupted."""
    warnings.showwarning = lambda message, *_: print(f"vireid: warning: {message}", file=sys.stderr)
    try:
        status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except VireidError as error:
        _fail(str(error), 2)
    except CycloptsError as error:
        _fail(f"{' '.join(str(error).split())} See vireid --help.", 2)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again, train with --resume", 130)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}; check the path and its permissions", 2)
    except torch.OutOfMemoryError:
        _fail("out of GPU memory; lower data.identities, data.images or the image size", 2)
    sys.exit(status or 0)


def _beside(rerank: bool, expand_queries: bool, camera_aware: bool) -> tuple[Method, ...]:
    asked: dict[Method, bool] = {
        "k-reciprocal": rerank,
        "query-expansion": expand_queries,
        "camera-aware": camera_aware,
    }
    return tuple(method for method, wanted in asked.items() if wanted)


def _fail(message: str, status: int) -> None:
    print(f"vireid: {message}", file=sys.stderr)
    sys.exit(status)


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=2, allow_nan=False))


@contextmanager
def _bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress bars on standard error, made when the work they are for begins and gone when it ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True))

    def bar(name: str) -> Callable[[int, int], None]:
        task: list[TaskID] = []

        def update(done: int, total: int) -> None:
            if not task:
                task.append(progress.add_task(name, total=total))
            if not progress.live.is_started:
                progress.start()
            progress.update(task[0], completed=done, total=total)
            if done == total:
                progress.stop()

        return update

    try:
        yield bar
    finally:
        progress.stop()
