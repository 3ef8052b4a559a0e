"""Code shared by Figures 3 to 5: sweeps of one setting of the method, beside the few values printed as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vireid.figures.points import Series, points_figure
from vireid.reproduce.grid import Grid, printed_layouts
from vireid.reproduce.items import Item, Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import Value, values, with_paper
from vireid.reproduce.published import published
from vireid.reproduce.tables import MEASURED, Block, ResultTable, Row
from vireid.reproduce.variants import require_full_method

COLUMNS = {"r1": "R1", "map": "mAP"}
PAPER_HEIGHT = 288
"""Height of the paper's input in pixels, the unit of its S."""


@dataclass(frozen=True)
class Sweep:
    """A figure: ``settings`` maps labels on the axis to the overrides of the runs, ``reference`` is the run to compare
    with (the first setting of the figure), ``prefix`` is put before a setting that is a number."""

    name: str
    caption: str
    axis: str
    reference: tuple[str, tuple[str, ...]]
    settings: dict[str, tuple[str, ...]]
    prefix: str = ""

    def runs(self, grid: Grid) -> dict[str, tuple[Job, ...]]:
        """Return the runs of all settings."""
        require_full_method(grid)
        return {
            f"{self.prefix * setting[0].isdigit()}{setting}": grid.jobs(*overrides)
            for setting, overrides in self._all().items()
        }

    def make(self, grid: Grid) -> Product:
        """Build the table and figure of printed and measured results."""
        printed: dict[str, dict[str, dict[str, Value | None]]] = {}
        for line in published(self.name):
            numbers: dict[str, Value | None] = {column: Value(float(line[column])) for column in COLUMNS}
            printed.setdefault(line["data"], {})[line["setting"]] = numbers
        headers = {layout.title: layout.printed for layout in printed_layouts().values()}
        blocks = [
            Block(f"{data} (paper; what its text gives in numbers)", "published", f"{data} (paper)",
                  ((headers[data], 2),), tuple(Row((setting,), numbers) for setting, numbers in lines.items()))
            for data, lines in printed.items()
        ]  # fmt: skip
        own = printed.get(grid.layout.title, {}) if grid.in_paper else {}
        search = grid.searches[0]
        ours = [
            Row((setting,), with_paper(values(grid, grid.jobs(*overrides), search), own.get(setting), COLUMNS))
            for setting, overrides in self._all().items()
        ]
        blocks.append(Block(grid.label, "measured", grid.label, ((search.title, 2),), tuple(ours)))
        table = ResultTable(
            self.name, f"{self.caption}: {MEASURED} {grid.protocol}", (self.axis,), COLUMNS, tuple(blocks)
        )
        return Product(table, points_figure(self._series(table), list(self._all()), self.axis))

    def _all(self) -> dict[str, tuple[str, ...]]:
        return dict([self.reference]) | self.settings

    def _series(self, table: ResultTable) -> dict[str, list[Series]]:
        panels: dict[str, list[Series]] = {}
        for column, panel in (("r1", "R1 (%)"), ("map", "mAP (%)")):
            panels[panel] = []
            for block in table.blocks:
                by_setting = {row.keys[0]: row.values[column] for row in block.rows}
                found = [by_setting.get(setting) for setting in self._all()]
                panels[panel].append(Series.of(block.data, found, block.source == "measured"))
        return panels


def sweep_item(sweep: Callable[[Grid], Sweep]) -> Item:
    """Return the table or figure of a sweep."""
    return Item(lambda grid: sweep(grid).runs(grid), lambda grid: sweep(grid).make(grid), COLUMNS)


def separation(grid: Grid, pixels: float) -> str:
    """Return the override for S given in pixels of an input 288 high, scaled to the height of the grid's input."""
    return f"loss.overlap.separation={round(pixels * grid.base.data.height / PAPER_HEIGHT)}"


def scaling(grid: Grid) -> str:
    """Return the note on a scaled S for a caption; empty at the paper's input size."""
    height = grid.base.data.height
    return "" if height == PAPER_HEIGHT else f" (S is scaled to the input, times {height}/{PAPER_HEIGHT})"
