"""The tables and figures by name, and writing them to files."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vireid.figures.style import write_figure
from vireid.files import atomic_path
from vireid.reproduce.grid import Grid
from vireid.reproduce.jobs import Job
from vireid.reproduce.tables import ResultTable, write_csv, write_latex
from vireid.types import VireidError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("table1", "table2", "table3", "table4", "fig1", "fig3", "fig4", "fig5", "fig6")


@dataclass(frozen=True)
class Product:
    """The contents of a table or figure to write."""

    table: ResultTable
    figure: Figure
    dpi: int = 300
    """Fewer for pictures of many small images, which have no more pixels to show."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Text of more files by name."""


@dataclass(frozen=True)
class Item:
    """A table or figure of the paper: the runs of its rows by row name, how it is made from them, and its columns of
    numbers (see `ResultTable`)."""

    rows: Callable[[Grid], dict[str, tuple[Job, ...]]]
    make: Callable[[Grid], Product]
    columns: dict[str, str]

    def jobs(self, grid: Grid) -> tuple[Job, ...]:
        """Return the runs of all rows."""
        return tuple(job for jobs in self.rows(grid).values() for job in jobs)


def item(name: str) -> Item:
    """Return a table or figure by name; raise `VireidError` for an unknown name."""
    if name not in NAMES:
        raise VireidError(f"reproduce: expected one of {', '.join(NAMES)} or all, got {name}")
    found: Item = importlib.import_module(f"vireid.reproduce.{name}").ITEM
    return found


def write_product(folder: Path, product: Product) -> None:
    """Write ``NAME.csv``, ``NAME.tex``, ``NAME.pdf``, ``NAME.png`` and the product's other files.

    Raises:
        VireidError: the report extra is not installed, or the folder cannot be written.
    """
    name = product.table.name
    write_csv(folder / f"{name}.csv", product.table)
    write_latex(folder / f"{name}.tex", product.table)
    for suffix in (".pdf", ".png"):
        write_figure(folder / f"{name}{suffix}", product.figure, product.dpi)
    for file, text in product.files.items():
        with atomic_path(folder / file) as path:
            path.write_text(text, encoding="utf-8")
