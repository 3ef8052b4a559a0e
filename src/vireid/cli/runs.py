"""The verbs `demo`, `evaluate`, `score`, `cost` and `embed`."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vireid.cli.options import (
    CameraAware,
    ExpandQueries,
    Flag,
    Json,
    Model,
    Overrides,
    OwnData,
    Rerank,
    bars,
    beside,
    print_json,
    print_tables,
)
from vireid.layouts import BUILTIN
from vireid.types import Modality, VireidError


def demo(
    *, out: Annotated[Path, Parameter(help="Run folder; the rendered set is written beside it.")] = Path("runs/demo")
) -> None:
    """Render a day-and-night set, train the full method on it, evaluate it in both directions and write a report.

    Example: `vireid demo`
    """
    from vireid.demo import run_demo
    from vireid.report.terminal import result_tables

    with bars() as bar:
        evaluation, report = run_demo(out, bar)
    print_tables(*result_tables(evaluation.results))
    program = os.path.relpath(sys.argv[0]) if os.sep in sys.argv[0] else "vireid"
    print(
        f"\nThe report is {report}\n\nNext, try:\n"
        f"  {program} evaluate {out} --data {out}-data --flip --rerank\n"
        f"  {program} embed {out} {out}-data features.npz && {program} score features.npz --protocol sysu\n"
        f"  {program} data render runs/regdb-like --like regdb --ids 40 --images 2\n"
        f"With a real set: {program} train --recipe sysu-dfw --data PATH_OF_SYSU-MM01"
    )


def evaluate(
    *models: Model,
    data: OwnData = None,
    out: Annotated[
        Path | None, Parameter(help="Folder of results.json and report.html; `MODEL/evaluation/DATA` by default.")
    ] = None,
    trial: Annotated[int | None, Parameter(help="RegDB split; by default the run's own.")] = None,
    gallery: Annotated[
        Literal["official", "community"] | None,
        Parameter(help="Rule that draws SYSU-MM01 galleries; by default official if rand_perm_cam.mat exists."),
    ] = None,
    multi_shot: Annotated[bool, Flag, Parameter(help="Additional lines for multi-shot galleries (SYSU-MM01).")] = False,
    flip: Annotated[bool, Flag, Parameter(help="Additional lines with flip averaging.")] = False,
    rerank: Rerank = False,
    expand_queries: ExpandQueries = False,
    camera_aware: CameraAware = False,
    against: Annotated[
        str | None, Parameter(help="Model to test the first one against, by a sign-flip test over identities.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model, or the mean of several runs, on a data set's test identities, and write results and a report.

    Example: `vireid evaluate runs/regdb-dfw-trial1 runs/regdb-dfw-trial2 --data ~/data/RegDB --rerank`
    """
    from vireid.deploy.card import write_card
    from vireid.deploy.run import RunEmbedder
    from vireid.report.details import against_table
    from vireid.report.evaluation import write_evaluation
    from vireid.report.terminal import plain_table, result_tables
    from vireid.runs.evaluation import evaluate as run_evaluation

    if not models:
        raise VireidError("evaluate: expected at least one model, for example vireid evaluate runs/demo --data PATH")
    with bars() as bar:
        evaluation = run_evaluation(
            models,
            data,
            trial=trial,
            gallery=gallery,
            multi_shot=multi_shot,
            flip=flip,
            beside=beside(rerank, expand_queries, camera_aware),
            against=against,
            progress=bar("images"),
        )
    model = evaluation.models[0]
    results, page = write_evaluation(evaluation, out or model.home / "evaluation" / evaluation.dataset.name)
    if isinstance(model, RunEmbedder):
        write_card(model.home)
    if as_json:
        print_json(evaluation.to_dict())
    else:
        print_tables(*result_tables(evaluation.results))
        if evaluation.against:
            print_tables(plain_table(against_table(evaluation, evaluation.against)))
        print(f"Results: {results}\nReport:  {page}")


def score(
    file: Annotated[Path, Parameter(help=".npz file of query_* and gallery_* features, ids and cameras.")],
    *,
    protocol: Annotated[str, Parameter(help=f"Layout whose rules apply: {', '.join(BUILTIN)}, or an outside one.")],
    rerank: Rerank = False,
    expand_queries: ExpandQueries = False,
    camera_aware: CameraAware = False,
    as_json: Json = False,
) -> None:
    """Score the features of any model: CMC, mAP and mINP of one query set against one gallery.

    Example: `vireid score features.npz --protocol sysu --json`
    """
    from vireid.evaluation.scoring import score_file
    from vireid.report.terminal import score_table

    scores = score_file(file, protocol, beside(rerank, expand_queries, camera_aware))
    if as_json:
        print_json(scores)
    else:
        print_tables(score_table(scores))


def cost(
    *overrides: Overrides,
    recipe: Annotated[str | None, Parameter(help="Recipe; by default the paper's baseline and full model.")] = None,
    as_json: Json = False,
) -> None:
    """Print parameters, multiply-accumulates, peak memory and speed of embedding (Table 2).

    Example: `vireid cost --recipe sysu-dfw model.branches=3`
    """
    from vireid.build import new_network
    from vireid.models.cost import measure_alone
    from vireid.recipes import load_recipe
    from vireid.report.terminal import cost_table
    from vireid.training.device import default_device

    names = (recipe,) if recipe else ("baseline", "regdb-dfw")
    recipes = [load_recipe(name, overrides) for name in names]
    costs = {
        r.name: measure_alone(
            partial(new_network, r.model, 1, r.data.size), r.data.height, r.data.width, default_device()
        )
        for r in recipes
    }
    if as_json:
        print_json({name: c.to_dict() for name, c in costs.items()})
    else:
        print_tables(cost_table(costs))


def embed(
    model: Model,
    source: Annotated[Path, Parameter(help="Data set; or, with --modality, an image or a folder of images.")],
    out: Annotated[Path, Parameter(help="Feature file to write, .npz.")],
    *,
    modality: Annotated[Literal["visible", "infrared"] | None, Parameter(help="Modality of loose images.")] = None,
    flip: Annotated[bool, Flag, Parameter(help="Averaging over each image and its mirror image.")] = False,
) -> None:
    """Write the features of a data set's test part, or of loose images.

    Example: `vireid embed runs/demo photos/ features.npz --modality visible`
    """
    from vireid.runs.features import write_features

    kind = None if modality is None else Modality[modality.upper()]
    with bars() as bar:
        count = write_features(model, source, out, modality=kind, flip=flip, progress=bar("images"))
    print(f"{count} features: {out}")
