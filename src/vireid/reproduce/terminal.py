"""The plan of a grid as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from vireid.reproduce.command import Reproduction
from vireid.reproduce.grid import STANDARD
from vireid.reproduce.plan import Planned
from vireid.reproduce.tables import ResultTable, shown


def shown_plan(reproduction: Reproduction) -> Group:
    """Return one line per row of the tables: the state of its seeds, their remaining batches and expected time; below,
    the sum and the folder of the runs. A run that several rows share is shown in the first.
    """
    grid, plan = reproduction.grid, reproduction.plan
    several = len(reproduction.items) > 1
    table = Table(box=None, pad_edge=False)
    for name in (*(["for"] if several else []), "row", "trials" if grid.layout.splits else "seeds"):
        table.add_column(name)
    for name in ("batches\nleft", "expected"):
        table.add_column(name, justify="right")
    waiting = {planned.job.name: planned for planned in plan}
    for name, item in reproduction.items.items():
        for row, jobs in item.rows(grid).items():
            runs = [waiting.pop(job.name) for job in jobs if job.name in waiting]
            if runs:
                table.add_row(*([name] if several else []), escape(row), *_cells(runs))
    where = f"runs are in {escape(str(grid.out / 'runs'))}"
    title = f"{len(plan)} run{'s' * (len(plan) > 1)} on {escape(grid.label)}"
    images = len(grid.dataset.train) + len(grid.dataset.test)
    first = [f"will be rendered first: {STANDARD}, {images:,} images"] if grid.dataset.rendered else []
    return Group(title, table, *first, f"{_left(plan)}; {where}")


def _left(plan: Sequence[Planned]) -> str:
    """Return what is left to do, with the expected time."""
    left = [planned for planned in plan if planned.state != "finished"]
    if not left:
        return "all finished"
    total = _duration(sum(planned.seconds for planned in left))
    train = sum(planned.steps > 0 for planned in left)
    evaluate = f", {len(left) - train} to evaluate" if train < len(left) else ""
    return f"{len(plan) - len(left)} finished, {train} to train{evaluate}, about {total} one after another"


def result_blocks(table: ResultTable) -> list[Table]:
    """One table for each block of a result: its title, its keys and its numbers."""
    made = []
    for block in table.blocks:
        lines = Table(*table.keys, *table.columns.values(), title=escape(block.title), title_justify="left")
        for row in block.rows:
            numbers = (shown(row.values.get(column)) for column in table.columns)
            lines.add_row(*(escape(key) for key in row.keys), *numbers)
        made.append(lines)
    return made


def _cells(runs: Sequence[Planned]) -> tuple[str, str, str]:
    """Return the states with the seeds (RegDB: trials) in each, the remaining batches and their expected time."""
    by_state: dict[str, list[int]] = {}
    for run in runs:
        by_state.setdefault(run.state, []).append(run.job.trial or run.job.seed)
    states = "; ".join(f"{_spans(numbers)} {state}" for state, numbers in by_state.items())
    steps = sum(run.steps for run in runs)
    seconds = sum(run.seconds for run in runs)
    return states, f"{steps:,}" if steps else "", _duration(seconds) if seconds else ""


def _spans(numbers: Sequence[int]) -> str:
    """Return ascending numbers with consecutive ones joined: 0-2, 5."""
    spans = [[n for _, n in group] for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
