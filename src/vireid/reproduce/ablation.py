"""A study of one's own: rows of overrides in a YAML file, each against another row, over paired seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vireid.reproduce.changes import COLUMNS, both_ways, compared, difference_figure
from vireid.reproduce.grid import Grid
from vireid.reproduce.items import Item, Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.tables import MEASURED, Block, ResultTable, Row
from vireid.types import VireidError

_STRICT = ConfigDict(extra="forbid")


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
        runs, against = self.runs(grid), self.against()
        found = compared(grid, runs, against)
        ways = both_ways(grid)
        groups = tuple((search.title, len(COLUMNS) // 2) for search in ways.values())
        rows = tuple(Row((label, against.get(label, "")), found.numbers[label]) for label in runs)
        block = Block(grid.label, "measured", grid.label, groups, rows)
        table = ResultTable(self.name, f"{self.caption}: {MEASURED}", ("row", "against"), COLUMNS, (block,))
        return Product(table, difference_figure(grid, found), files=found.files)

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
