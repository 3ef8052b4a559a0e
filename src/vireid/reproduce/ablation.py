"""A study of one's own: rows of overrides in a YAML file, each against another row, over paired seeds."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vireid.figures.points import Series, rows_figure
from vireid.reproduce.differences import PairedDifference, paired
from vireid.reproduce.grid import Grid, Search
from vireid.reproduce.items import Item, Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import Value, values
from vireid.reproduce.tables import MEASURED, Block, ResultTable, Row
from vireid.training.health import health_history
from vireid.training.monitor import read_metrics
from vireid.types import VireidError

_STRICT = ConfigDict(extra="forbid")
SHOWN = {"r1": "R1", "map": "mAP"}
COLUMNS = {
    f"{way}_{key}": header
    for way in ("there", "back")
    for key, header in {**SHOWN, **{f"{key}_change": f"{header} change" for key, header in SHOWN.items()}}.items()
}
"""Both directions of the layout's first search; a change is against the row's reference, its ± a 95 % interval."""


@dataclass(frozen=True, config=_STRICT)
class StudyRow:
    """A variant: what it changes, and the row that it is compared with."""

    set: tuple[str, ...] = ()
    against: str | None = None


@dataclass(frozen=True, config=_STRICT)
class Study:
    """What a study file says; ``set`` holds for all rows, seeds are 0 to ``seeds`` - 1 in every row."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    caption: str
    rows: Annotated[dict[str, StudyRow], Field(min_length=1)]
    recipe: str = "small"
    seeds: Annotated[int, Field(ge=1)] = 5
    set: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for label, row in self.rows.items():
            if row.against is not None and row.against not in self.rows:
                raise ValueError(f"row {label}: against {row.against}, which is no row")

    def runs(self, grid: Grid) -> dict[str, tuple[Job, ...]]:
        """The runs of every row."""
        return {label: grid.jobs(*row.set) for label, row in self.rows.items()}

    def make(self, grid: Grid) -> Product:
        """Gather the rows, their differences and the health of the runs."""
        return comparison(self.name, f"{self.caption}: {MEASURED}", grid, self.runs(grid), self.against())

    def against(self) -> dict[str, str]:
        """Each compared row's reference."""
        return {label: row.against for label, row in self.rows.items() if row.against}


_STUDY = TypeAdapter(Study)


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        VireidError: it cannot be read, or a field is unknown, missing or wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _STUDY.validate_python(content)
    except (OSError, ValueError, yaml.YAMLError) as error:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            reason = f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        else:
            reason = " ".join(str(error).split())[:160]
        raise VireidError(f"{path}: not a study ({reason}); see docs/reproduce.md") from None


def study_item(study: Study) -> Item:
    """Return the table of a study."""
    return Item(study.runs, study.make, COLUMNS)


def comparison(
    name: str, caption: str, grid: Grid, runs: dict[str, tuple[Job, ...]], against: dict[str, str]
) -> Product:
    """Return a table of variants, both directions, with paired differences; every run's numbers beside it."""
    ways = both_ways(grid)
    rows, lines = [], []
    for label, jobs in runs.items():
        numbers: dict[str, Value | None] = {}
        for way, search in ways.items():
            found = values(grid, jobs, search)
            numbers |= {f"{way}_{key}": found[key] for key in SHOWN}
            if label in against:
                change = paired(grid, jobs, runs[against[label]], search)
                numbers |= {f"{way}_{key}_change": _interval(change[key]) for key in SHOWN}
                lines += [_line(label, against[label], search, key, change[key]) for key in SHOWN]
        rows.append(Row((label, against.get(label, "")), numbers))
    groups = tuple((search.title, len(COLUMNS) // 2) for search in ways.values())
    block = Block(grid.label, "measured", grid.label, groups, tuple(rows))
    table = ResultTable(name, caption, ("row", "against"), COLUMNS, (block,))
    files = {"differences.csv": _csv(lines), "runs.csv": _csv(run_lines(grid, runs))}
    return Product(table, difference_figure(table, ways), files=files)


def both_ways(grid: Grid) -> dict[str, Search]:
    """The layout's first search and the same in the other direction."""
    first = grid.searches[0]
    query, gallery = first.direction.split("-to-")
    title = f"{first.title.split(',')[0]}, {gallery} to {query}" if "," in first.title else f"{gallery} to {query}"
    back = Search(title[:1].upper() + title[1:], first.search, f"{gallery}-to-{query}")
    return {"there": first, "back": back}


def run_lines(grid: Grid, runs: dict[str, tuple[Job, ...]]) -> list[dict[str, Any]]:
    """Every run's numbers in percent, and the health at its end."""
    lines = []
    for label, jobs in runs.items():
        for job in jobs:
            line: dict[str, Any] = {"row": label, "seed": job.seed, "trial": job.trial or ""}
            for way, search in both_ways(grid).items():
                line |= {f"{way}_{key}": round(v.mean, 3) for key, v in values(grid, [job], search).items()}
            metrics = read_metrics(grid.folder(job))
            halfway = [m["overlap"] > 0 for m in metrics if "overlap" in m]
            if late := halfway[len(halfway) // 2 :]:
                line["overlap/active in the second half"] = round(sum(late) / len(late), 4)
            history = health_history(metrics)
            line |= {name: round(value, 4) for name, value in (history[-1] if history else {}).items()}
            lines.append(line)
    return lines


def difference_figure(table: ResultTable, ways: dict[str, Search]) -> Any:
    """Draw the rows' rank-1 and mAP, and below the differences with their intervals."""
    rows = table.blocks[0].rows
    compared = [row for row in rows if row.keys[1]]
    groups = {"Percent, mean ± standard deviation over runs": ([row.keys[0] for row in rows], _panels(rows, "", ways))}
    if compared:
        names = [f"{row.keys[0]} − {row.keys[1]}" for row in compared]
        groups["Paired differences, 95 % intervals over seeds and identities"] = (
            names,
            _panels(compared, "_change", ways),
        )
    return rows_figure(groups)


def _panels(rows: Any, suffix: str, ways: dict[str, Search]) -> dict[str, Series]:
    return {
        f"{header}, {search.direction.replace('-', ' ')}": Series.of(
            "", [row.values[f"{way}_{key}{suffix}"] for row in rows], True
        )
        for way, search in ways.items()
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
