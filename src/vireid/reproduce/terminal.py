"""The plan of a grid as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rich.markup import escape
from rich.table import Table

from vireid.reproduce.plan import Planned


def plan_table(plan: Sequence[Planned], label: str) -> Table:
    """One line per run: its state, the batches it has left, the time these are expected to take; the sum below."""
    left = [planned for planned in plan if planned.steps]
    table = Table(title=f"{len(plan)} runs on {escape(label)}", title_justify="left", box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("state")
    table.add_column("batches left", justify="right")
    table.add_column("expected", justify="right")
    for planned in plan:
        expected = _duration(planned.seconds) if planned.steps else ""
        table.add_row(escape(planned.job.name), planned.state, str(planned.steps or ""), expected)
    total = _duration(sum(planned.seconds for planned in left))
    table.caption = f"{len(plan) - len(left)} finished, {len(left)} to train, about {total} one after another"
    return table


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
