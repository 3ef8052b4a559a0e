"""The verb `reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from vireid.cli.options import Flag, Overrides, bars, print_tables

if TYPE_CHECKING:
    from vireid.reproduce.tables import ResultTable

OutOption = Annotated[Path, Parameter(help="Folder of the runs, which tables share, and of the results.")]


def reproduce(
    item: Annotated[
        str, Parameter(help="Table or figure (table1 to table4, fig1, fig3 to fig6, all) or study file (.yaml).")
    ],
    *overrides: Overrides,
    data: Annotated[
        Path | None, Parameter(help="Root folder of the data set; by default synvi-1 is rendered into the out folder.")
    ] = None,
    recipe: Annotated[
        str | None, Parameter(help="Recipe of the full method; by default small on rendered sets, else the layout's.")
    ] = None,
    seeds: Annotated[
        int | None, Parameter(help="Number of runs of each row; by default 3, on RegDB one for each of the 10 splits.")
    ] = None,
    gallery: Annotated[
        Literal["official", "community"] | None,
        Parameter(help="Rule that draws SYSU-MM01 galleries; by default official where rand_perm_cam.mat is."),
    ] = None,
    quick: Annotated[
        bool, Flag, Parameter(help="Short training with a fifth of the epochs and one seed; results say so.")
    ] = False,
    out: OutOption = Path("reproduce"),
    dry_run: Annotated[bool, Flag, Parameter(help="Plan only; nothing is trained or written.")] = False,
) -> None:
    """Train what a table or figure of the paper needs, and write it with the printed numbers beside ours.

    Finished runs are reused, interrupted ones are resumed; the same command in a second terminal shares the work.

    Example: `vireid reproduce table1 --seeds 3`
    """
    from vireid.reproduce.ablation import read_study
    from vireid.reproduce.command import plan_reproduction, with_images
    from vireid.reproduce.command import reproduce as run
    from vireid.reproduce.grid import make_grid
    from vireid.reproduce.terminal import result_blocks, shown_plan

    study = read_study(Path(item)) if item.endswith((".yaml", ".yml")) else None
    if study:
        recipe, overrides = recipe or study.recipe, (*study.set, *overrides)
        seeds = seeds if seeds is not None or quick else study.seeds
    grid = make_grid(data, out, recipe=recipe, seeds=seeds, quick=quick, overrides=overrides, gallery=gallery)
    planned = plan_reproduction(item, grid, study)
    print_tables(shown_plan(planned))
    if not dry_run:
        with bars() as bar:
            planned = with_images(planned, bar("images rendered"))

        def written(folder: Path, table: ResultTable) -> None:
            print_tables(*result_blocks(table))
            print(f"{table.caption}\nFiles: {folder}\n")

        run(planned, ["vireid", *sys.argv[1:]], written)
        print(f"All results: {out / 'index.html'}")
