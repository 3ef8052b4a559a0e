"""What the tables of variants share: both directions, changes against a reference, every run's numbers, a figure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vireid.figures.points import Series, rows_figure
from vireid.layouts import Search
from vireid.reproduce.differences import PairedDifference, paired
from vireid.reproduce.grid import Grid
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import Value, values
from vireid.training.health import health_history
from vireid.training.monitor import read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = {"r1": "R1", "map": "mAP"}
COLUMNS = {
    f"{way}_{key}": header
    for way in ("there", "back")
    for key, header in {**SHOWN, **{f"{key}_change": f"{header} change" for key, header in SHOWN.items()}}.items()
}
"""Both directions of the layout's first search; a change is against the row's reference, its ± a 95 % interval."""

Runs = Mapping[str, tuple[Job, ...]]
Numbers = dict[str, Value | None]


@dataclass(frozen=True)
class Compared:
    """Rows by label: their `COLUMNS`, the row that each is compared with, and ``files``: ``differences.csv`` and
    ``runs.csv``."""

    numbers: dict[str, Numbers]
    against: Mapping[str, str]
    files: dict[str, str]


def compared(grid: Grid, runs: Runs, against: Mapping[str, str]) -> Compared:
    """Gather what variants reached and how each differs from its reference.

    Raises:
        VireidError: a run without results, or runs that were evaluated on different queries.
    """
    rows: dict[str, Numbers] = {label: {} for label in runs}
    lines = []
    for way, search in both_ways(grid).items():
        for label, jobs in runs.items():
            found = values(grid, jobs, search)
            rows[label] |= {f"{way}_{key}": found[key] for key in SHOWN}
            if label in against:
                change = paired(grid, jobs, runs[against[label]], search)
                rows[label] |= {f"{way}_{key}_change": _interval(change[key]) for key in SHOWN}
                lines += [_line(label, against[label], search, key, change[key]) for key in SHOWN]
    return Compared(rows, against, {"differences.csv": _csv(lines), "runs.csv": _csv(run_lines(grid, runs))})


def both_ways(grid: Grid) -> dict[str, Search]:
    """The layout's first search, and the same in the other direction."""
    first = grid.searches[0]
    return {"there": first, "back": grid.layout.opposite(first)}


def run_lines(grid: Grid, runs: Runs) -> list[dict[str, Any]]:
    """Every run's numbers in percent, and the health at its end."""
    lines = []
    for label, jobs in runs.items():
        for job in jobs:
            line: dict[str, Any] = {"row": label, "seed": job.seed, "trial": job.trial or ""}
            for way, search in both_ways(grid).items():
                line |= {f"{way}_{key}": round(v.mean, 3) for key, v in values(grid, [job], search).items()}
            metrics = read_metrics(grid.folder(job))
            penalty = [m["overlap"] > 0 for m in metrics if "overlap" in m]
            if late := penalty[len(penalty) // 2 :]:
                line["overlap/active in the second half"] = round(sum(late) / len(late), 4)
            history = health_history(metrics)
            lines.append(line | {name: round(value, 4) for name, value in (history[-1] if history else {}).items()})
    return lines


def difference_figure(
    grid: Grid, found: Compared, first: Mapping[str, tuple[Sequence[str], Sequence[Numbers]]] | None = None
) -> Figure:
    """Draw the rows' rank-1 and mAP, and below them the differences with their intervals.

    ``first``: printed numbers by header, as names and their `COLUMNS`, to draw above.
    """
    drawn = {header: (names, _panels(grid, rows, "", False)) for header, (names, rows) in (first or {}).items()}
    names = list(found.numbers)
    drawn[f"Measured, %, mean ± standard deviation over runs: {grid.label}"] = (
        names,
        _panels(grid, [found.numbers[name] for name in names], "", True),
    )
    if found.against:
        pairs = [f"{name} − {found.against[name]}" for name in found.against]
        changes = [found.numbers[name] for name in found.against]
        header = "Paired differences in points, 95 % intervals over seeds and identities"
        drawn[header] = (pairs, _panels(grid, changes, "_change", True))
    return rows_figure(drawn)


def _panels(grid: Grid, rows: Sequence[Numbers], suffix: str, measured: bool) -> dict[str, Series]:
    return {
        f"{header}, {search.direction.replace('-', ' ')}": Series.of(
            "", [row.get(f"{way}_{key}{suffix}") for row in rows], measured
        )
        for way, search in both_ways(grid).items()
        for key, header in SHOWN.items()
    }


def _interval(change: PairedDifference) -> Value:
    return Value(change.mean, change.both if math.isfinite(change.both) else None)


def _line(label: str, against: str, search: Search, key: str, change: PairedDifference) -> dict[str, Any]:
    line = {"row": label, "against": against, "direction": search.direction, "number": key}
    numbers = {"difference": change.mean}
    for name, half in (("seeds", change.seeds), ("both", change.both)):
        numbers |= {f"{name}_low": change.mean - half, f"{name}_high": change.mean + half}
    return line | {name: round(value, 3) if math.isfinite(value) else "" for name, value in numbers.items()}


def _csv(lines: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for line in lines for name in line))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()
