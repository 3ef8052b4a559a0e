"""The verbs that repeat the paper."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from vireid.cli.options import Data, Flag, OwnData, Recipe, Run, bars

OutOption = Annotated[Path, Parameter(help="Folder of the runs, which tables share, and of the results.")]


def reproduce(
    item: Annotated[str, Parameter(help="table1 to table4, fig1, fig3 to fig6, or all.")],
    *overrides: Annotated[str, Parameter(help="FIELD=VALUE pairs that override the recipe's fields in every run.")],
    data: Annotated[
        Path | None, Parameter(help="Root folder of the data set; by default synvi-1 is rendered into the out folder.")
    ] = None,
    recipe: Annotated[
        str | None, Parameter(help="Recipe of the full method; by default small on rendered sets, else the layout's.")
    ] = None,
    seeds: Annotated[
        int | None, Parameter(help="Runs of each row; by default 3, on RegDB one for each of the 10 splits.")
    ] = None,
    quick: Annotated[bool, Flag, Parameter(help="A fifth of the epochs and one seed; results say so.")] = False,
    out: OutOption = Path("reproduce"),
    dry_run: Annotated[bool, Flag, Parameter(help="Show the plan and stop.")] = False,
) -> None:
    """Train what a table or figure of the paper needs, and write it with the printed numbers beside ours.

    Finished runs are used, interrupted ones go on; the same command in a second terminal shares the work.

    Example: `vireid reproduce table1 --seeds 3`
    """
    from vireid.reproduce.command import plan_reproduction
    from vireid.reproduce.command import reproduce as run
    from vireid.reproduce.grid import make_grid
    from vireid.reproduce.terminal import plan_table

    with bars() as bar:
        progress = bar("images rendered")
        grid = make_grid(data, out, recipe=recipe, seeds=seeds, quick=quick, overrides=overrides, progress=progress)
    planned = plan_reproduction(item, grid)
    Console().print(plan_table(planned.plan, grid.label))
    if not dry_run:
        run(planned, ["vireid", *sys.argv[1:]])


def tune(
    recipe: Recipe,
    *overrides: Annotated[str, Parameter(help="FIELD=VALUE pairs that override the recipe's fields in every trial.")],
    data: Data,
    trials: Annotated[int, Parameter(help="Finished trials the study is to have, whichever worker made them.")],
    storage: Annotated[
        str | None, Parameter(help="File of the study, by default OUT/study.log, or a database server's URL.")
    ] = None,
    out: Annotated[Path, Parameter(help="Folder of the trials, the best recipe and the plots.")] = Path("tune"),
) -> None:
    """Search the open settings of a recipe on held-out training identities; test identities are never opened.

    The same command again goes on; in a second terminal it helps.

    Example: `vireid tune small --data synvi-1 --trials 30`
    """
    from vireid.reproduce.tune import tune as run

    best = run(recipe, data, out, trials, storage, overrides)
    print(f"The best recipe is {best}\n\nNext: vireid train --recipe {best} --data {data}")


def noise(
    *runs: Run,
    data: OwnData = None,
    out: Annotated[Path, Parameter(help="Folder of the results.")] = Path("reproduce/noise"),
) -> None:
    """Score runs under noise, blur, low light, occlusion, JPEG and fog; the first run is the others' baseline.

    Example: `vireid noise runs/small-baseline runs/small --data synvi-1`
    """
    from vireid.reproduce.noise import write_noise

    with bars() as bar:
        folder = write_noise(runs, data, out, bar("corruptions scored"))
    print(f"Results: {folder}")


def scale(
    *,
    images: Annotated[tuple[int, ...], Parameter(negative="", help="Gallery sizes; by default 1,000 to 30,000.")] = (),
    out: Annotated[Path, Parameter(help="Folder of the results.")] = Path("reproduce/scale"),
) -> None:
    """Measure what ranking and re-ranking cost as the gallery and the number of people in it grow.

    Example: `vireid scale --images 1000 --images 100000`
    """
    from vireid.reproduce.scale import IMAGES, write_scale
    from vireid.reproduce.terminal import scale_table

    with bars() as bar:
        costs = write_scale(out, images or IMAGES, bar("sizes"))
    Console().print(scale_table(costs))
    print(f"Results: {out}")
