"""The plan of a grid, and the costs of a search, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rich.markup import escape
from rich.table import Table

from vireid.reproduce.plan import Planned
from vireid.reproduce.scale import QUERIES, Cost


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


def scale_table(costs: Sequence[Cost]) -> Table:
    """One line per size."""
    table = Table(title=f"{QUERIES} queries", title_justify="left", box=None, pad_edge=False)
    for name in ("gallery images", "identities", "ranked, s", "re-ranked, s", "peak memory, GiB"):
        table.add_column(name, justify="right")
    for cost in costs:
        numbers = (f"{cost.rank_seconds:.2f}", f"{cost.rerank_seconds:.2f}", f"{cost.peak_gib:.2f}")
        table.add_row(f"{cost.images:,}", f"{cost.identities:,}", *numbers)
    return table


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
