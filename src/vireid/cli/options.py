"""Options that several verbs share, progress bars, tables and JSON. Imports only what every verb needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vireid.evaluation.ranked import RankingMethod

Data = Annotated[Path, Parameter(help="Data set: its root folder, or a .csv list of images.")]
OwnData = Annotated[
    Path | None,
    Parameter(help="Data set: its root folder or a .csv list; none where the recipe renders it (data.kind=synthetic)."),
]
Flag = Parameter(negative="")
Json = Annotated[bool, Parameter(name="--json", negative="", help="JSON instead of a table.")]
Recipe = Annotated[str, Parameter(help="YAML file, or name of a shipped recipe (`vireid train --help` lists them).")]
Overrides = Annotated[str, Parameter(help="FIELD=VALUE pairs that override the recipe's fields.")]
Run = Annotated[Path, Parameter(help="Run folder that `vireid train` wrote.")]
ModelOption = Annotated[
    str, Parameter(help="Run folder, exported folder, ONNX file or folder with a card, or package.module:function.")
]
Rerank = Annotated[bool, Flag, Parameter(help="Additional lines with k-reciprocal re-ranking.")]
ExpandQueries = Annotated[bool, Flag, Parameter(help="Additional lines with query expansion.")]
CameraAware = Annotated[bool, Flag, Parameter(help="Additional lines with similarities corrected per camera pair.")]

_PIPED_WIDTH = 160
"""Columns of a table if standard output is not a terminal."""


def beside(rerank: bool, expand_queries: bool, camera_aware: bool) -> tuple[RankingMethod, ...]:
    """Return the requested ranking methods besides the plain one."""
    asked: dict[RankingMethod, bool] = {
        "k-reciprocal": rerank,
        "query-expansion": expand_queries,
        "camera-aware": camera_aware,
    }
    return tuple(method for method, wanted in asked.items() if wanted)


def print_json(content: dict[str, Any]) -> None:
    """Print a report as JSON."""
    print(json.dumps(content, indent=2, allow_nan=False))


def print_tables(*tables: RenderableType) -> None:
    """Print tables to standard output, wide if that is a file or a pipe."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    for table in tables:
        console.print(table)


@contextmanager
def bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Show progress on standard error: bars on a terminal, else one line for each finished piece of work."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

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
        if progress.live.is_started:  # else stop would print an empty line
            progress.stop()


def _line(name: str) -> Callable[[int, int], None]:
    began: list[float] = []

    def update(done: int, total: int) -> None:
        began[:] = began or [monotonic()]
        if done == total:
            print(f"{name}: {total:,} in {monotonic() - began.pop():.0f} s", file=sys.stderr, flush=True)

    return update
