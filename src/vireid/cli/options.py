"""Options that several verbs share, progress bars and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vireid.recipes import recipe_fields, shipped_recipes

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
Run = Annotated[Path, Parameter(help="Run folder that vireid train wrote.")]
Model = Annotated[str, Parameter(help="Run folder of vireid train, or exported folder of vireid export.")]
Rerank = Annotated[bool, Flag, Parameter(help="Add lines with k-reciprocal re-ranking.")]
ExpandQueries = Annotated[bool, Flag, Parameter(help="Add lines with query expansion.")]
CameraAware = Annotated[bool, Flag, Parameter(help="Add lines with similarities corrected per camera pair.")]


def fields_table() -> str:
    """Return all recipe fields as a markdown table."""
    rows = [f"| `{name}` | `{default}` | {text} |" for name, _, default, text in recipe_fields()]
    return "\n".join(["**Recipe fields**", "", "| field | default | meaning |", "|---|---|---|", *rows])


def beside(rerank: bool, expand_queries: bool, camera_aware: bool) -> tuple[Method, ...]:
    """Return the ways of ranking that were asked for beside the plain one."""
    asked: dict[Method, bool] = {
        "k-reciprocal": rerank,
        "query-expansion": expand_queries,
        "camera-aware": camera_aware,
    }
    return tuple(method for method, wanted in asked.items() if wanted)


def print_json(content: dict[str, Any]) -> None:
    """Print a report as JSON."""
    print(json.dumps(content, indent=2, allow_nan=False))


@contextmanager
def bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
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
        if progress.live.is_started:  # else stop would print an empty line
            progress.stop()
