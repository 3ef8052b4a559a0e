"""The verbs on runs and features."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from vireid.cli.options import (
    CameraAware,
    ExpandQueries,
    Flag,
    Json,
    Model,
    OwnData,
    Recipe,
    Rerank,
    Run,
    bars,
    beside,
    print_json,
)
from vireid.recipes import load_recipe
from vireid.types import Modality, VireidError


def demo(
    *, out: Annotated[Path, Parameter(help="Run folder; the rendered set lies beside it.")] = Path("runs/demo")
) -> None:
    """Render a synthetic day-and-night set, train the full method on it, evaluate it both ways, write a report.

    Example: `vireid demo`
    """
    from vireid.demo import run_demo

    with bars() as bar:
        report = run_demo(out, bar)
    program = os.path.relpath(sys.argv[0]) if os.sep in sys.argv[0] else "vireid"
    print(
        f"\nThe report is {report}\n\nNext, try:\n"
        f"  {program} evaluate {out} --data {out}-data --flip --rerank\n"
        f"  {program} embed {out} {out}-data features.npz && {program} score features.npz --protocol sysu\n"
        f"  {program} data render runs/regdb-like --like regdb --ids 40 --images 2\n"
        f"With a real set: {program} train --recipe sysu-dfw --data PATH_OF_SYSU-MM01"
    )


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
    from vireid.training.run import train as run_training

    settings = load_recipe(recipe, overrides)
    dataset = open_data(settings.data, data, trial)
    suffix = f"-trial{dataset.trial}" if dataset.trial else ""
    folder = out or Path("runs") / f"{settings.name}{suffix}"
    with bars() as bar:
        run_training(settings, dataset, folder, resume=resume, progress=bar("images decoded"))
    print(f"The run is {folder}\n\nNext: vireid evaluate {folder}{f' --data {data}' if data else ''}")


def evaluate(
    *folders: Run,
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
    against: Annotated[
        Path | None, Parameter(help="Another run, to test the first one against by a sign-flip test over identities.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a run, or the mean of several, on a data set's test identities, and write results and a report.

    Example: `vireid evaluate runs/regdb-dfw-trial1 runs/regdb-dfw-trial2 --data ~/data/RegDB --rerank`
    """
    from vireid.deploy.card import write_card
    from vireid.reporting.details import against_table
    from vireid.reporting.evaluate import evaluate_runs
    from vireid.reporting.page import write_evaluation
    from vireid.reporting.terminal import plain_table, result_tables

    if not folders:
        raise VireidError(
            "evaluate: expected at least one run folder, for example vireid evaluate runs/demo --data PATH"
        )
    with bars() as bar:
        evaluation = evaluate_runs(
            folders,
            data,
            trial=trial,
            gallery=gallery,
            multi_shot=multi_shot,
            flip=flip,
            beside=beside(rerank, expand_queries, camera_aware),
            against=against,
            progress=bar("images"),
        )
    results, page = write_evaluation(
        evaluation, out or folders[0] / "evaluation" / evaluation.dataset.root.resolve().name
    )
    write_card(folders[0])
    if as_json:
        print_json(evaluation.to_dict())
    else:
        for table in result_tables(evaluation.results):
            Console().print(table, "")
        if evaluation.against:
            Console().print(plain_table(against_table(evaluation, evaluation.against)), "")
        print(f"Results: {results}\nReport:  {page}")


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

    scores = score_file(file, protocol, beside(rerank, expand_queries, camera_aware))
    if as_json:
        print_json(scores)
    else:
        Console().print(score_table(scores))


def cost(
    *overrides: Annotated[str, Parameter(help="FIELD=VALUE pairs that override the recipe's fields.")],
    recipe: Annotated[str | None, Parameter(help="A recipe; by default the paper's baseline and full model.")] = None,
    as_json: Json = False,
) -> None:
    """Print parameters, multiply-accumulates, peak memory and speed of embedding (Table 2).

    Example: `vireid cost --recipe sysu-dfw model.branches=3`
    """
    from vireid.build import new_network
    from vireid.models.cost import measure_alone
    from vireid.reporting.terminal import cost_table
    from vireid.training.device import default_device

    names = (recipe,) if recipe else ("baseline", "regdb-dfw")
    recipes = [load_recipe(name, overrides) for name in names]
    costs = {
        r.name: measure_alone(partial(new_network, r.model, 1), r.data.height, r.data.width, default_device())
        for r in recipes
    }
    if as_json:
        print_json({name: c.to_dict() for name, c in costs.items()})
    else:
        Console().print(cost_table(costs))


def embed(
    model: Model,
    source: Annotated[Path, Parameter(help="A data set; or, with --modality, an image or a folder of images.")],
    out: Annotated[Path, Parameter(help="The .npz file to write.")],
    *,
    modality: Annotated[Literal["visible", "infrared"] | None, Parameter(help="Of loose images.")] = None,
    flip: Annotated[bool, Flag, Parameter(help="Average with the mirrored image.")] = False,
) -> None:
    """Write the features of a data set's test part, or of loose images.

    Example: `vireid embed runs/demo photos/ features.npz --modality visible`
    """
    from vireid.reporting.features import write_features

    kind = None if modality is None else Modality[modality.upper()]
    with bars() as bar:
        count = write_features(model, source, out, modality=kind, flip=flip, progress=bar("images"))
    print(f"{count} features: {out}")
