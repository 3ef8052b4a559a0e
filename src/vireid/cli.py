"""The command line: one verb per job, no logic of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import vireid
from vireid.config import load_recipe, recipe_fields, shipped_recipes
from vireid.types import VireidError

app = App(
    name="vireid",
    help="Find the same person across day and night cameras: visible-infrared person re-identification.",
    version=vireid.__version__,
    help_format="markdown",
)
data = App(name="data", help="Check data sets, and render a synthetic one.")
app.command(data)

Json = Annotated[bool, Parameter(negative="", help="Print JSON instead of a table.")]
Data = Annotated[Path, Parameter(help="Root folder of SYSU-MM01, RegDB, LLCM or a plain folder set.")]
Overrides = Annotated[tuple[str, ...], Parameter(show=True, help="FIELD=VALUE pairs that override the recipe.")]


def _fields_help() -> str:
    rows = [f"- `{name}` = `{default}`: {text}" for name, _, default, text in recipe_fields()]
    return "Recipe fields and their defaults:\n\n" + "\n".join(rows)


@app.command
def demo(out: Annotated[Path, Parameter(help="Run folder; the rendered set lies beside it.")] = Path("runs/demo")) -> None:
    """Render a synthetic day-and-night set, train the full method on it, evaluate it both ways, write a report.

    Example: `vireid demo`
    """
    from vireid.demo import run_demo

    with _progress() as progress:
        report = run_demo(out, progress)
    Console().print(
        f"\nReport: {report}\n\nNext:\n"
        f"  vireid evaluate {out} --data {out}-data --flip --rerank\n"
        f"  vireid embed {out} {out}-data features.npz\n"
        "  vireid train --recipe sysu-dfw --data PATH_OF_SYSU-MM01",
        highlight=False,
        soft_wrap=True,
    )


@data.command
def check(path: Data, *, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Recognise a data set's layout, count it against the published sizes, open every image, list what is wrong.

    Exit status 1 where something is wrong. Example: `vireid data check ~/data/SYSU-MM01`
    """
    from vireid.data.check import check as check_tree
    from vireid.reporting.tables import check_tables

    with _progress() as progress:
        report = check_tree(path, progress=progress("images opened"))
    if as_json:
        _print_json(report.to_dict())
    else:
        for table in check_tables(report):
            Console().print(table)
    return 0 if report.ok else 1
