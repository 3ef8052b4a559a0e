"""The verbs `noise`, `scale` and `tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vireid.cli.options import Flag, Json, ModelOption, OwnData, Recipe, bars, print_json, print_tables


def noise(
    *models: ModelOption,
    data: OwnData = None,
    out: Annotated[Path, Parameter(help="Folder of the results; those in it are not computed again.")] = Path("noise"),
    gallery: Annotated[bool, Flag, Parameter(help="Corruption of the gallery as well as the queries.")] = False,
    json: Json = False,
) -> None:
    """Score models under noise, blur, low light, occlusion, JPEG and fog at five strengths; errors are relative to the
    first model.

    Example: `vireid noise runs/small-baseline runs/small --data synvi-1`
    """
    from vireid.reproduce.terminal import result_blocks
    from vireid.studies.robustness import NUMBERS, noise_report, noise_table, score_models, write_noise, write_sheet

    with bars() as bar:
        found = score_models(models, data, out, gallery=gallery, progress=bar("corruptions scored"))
    write_noise(out, found)
    if data:
        write_sheet(out, data)
    if json:
        print_json(noise_report(found))
        return
    print_tables(*result_blocks(noise_table(found))[: len(NUMBERS)])
    print(f"Results: {out}")


def scale(
    *,
    sizes: Annotated[
        tuple[int, ...] | None, Parameter(help="Gallery sizes; by default 1,000 to 100,000.", consume_multiple=True)
    ] = None,
    largest: Annotated[int, Parameter(help="Largest gallery to measure.")] = 20_000,
    out: Annotated[Path, Parameter(help="Folder of the results.")] = Path("scale"),
) -> None:
    """Measure time and peak memory of ranking, scoring and re-ranking against gallery size and number of identities.

    Features are random, and each measurement runs in its own process; results in the folder are not measured again.

    Example: `vireid scale --largest 10000`
    """
    from rich.table import Table

    from vireid.studies.scaling import SIZES, measure_all, plan, write_scale

    with bars() as bar:
        found = measure_all(plan(sizes or SIZES, largest), out / "cells", bar("measured"))
    write_scale(out, found)
    lines = Table("stage", "gallery", "identities", "seconds", "peak memory, GiB")
    for one in found:
        lines.add_row(one.stage, f"{one.gallery:,}", f"{one.identities:,}", f"{one.seconds:.2f}", f"{one.peak:.2f}")
    print_tables(lines)
    print(f"Results: {out}")


def tune(
    recipe: Recipe,
    *overrides: Annotated[str, Parameter(help="FIELD=VALUE pairs for every trial; these fields are not searched.")],
    data: OwnData = None,
    trials: Annotated[int, Parameter(help="Total number of trials of the study, whichever process runs them.")],
    storage: Annotated[
        str | None, Parameter(help="File of the study, `OUT/study.log` by default, or a database's SQLAlchemy URL.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder of study and results; `tune/RECIPE` by default.")] = None,
) -> None:
    """Search a recipe's settings on held-out training identities; test images are never read.

    The same command resumes an interrupted study; in a second terminal it shares the work.

    Example: `vireid tune small --data synvi-1 --trials 30`
    """
    from vireid.studies.tuning import tune as run

    best = run(recipe, data, out or Path("tune") / Path(recipe).stem, trials, storage, overrides)
    print(f"The best recipe is {best}\n\nNext: vireid train --recipe {best}{f' --data {data}' if data else ''}")
