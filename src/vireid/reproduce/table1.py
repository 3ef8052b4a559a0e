"""Table 1: DFW, SLN and random erasing, alone and together; below, SLN's parts and channel exchange apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vireid.reproduce.changes import Numbers, compared, difference_figure
from vireid.reproduce.grid import Grid, printed_layouts
from vireid.reproduce.items import Item, Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import Value, values, with_paper
from vireid.reproduce.published import number, published
from vireid.reproduce.tables import MEASURED, Block, ResultTable, Row
from vireid.reproduce.variants import NO_DFW, NO_RE, NO_SLN, exchange, require_full_method

COLUMNS = {"r1": "R1", "r10": "R10", "r20": "R20", "map": "mAP"}
CAPTION = (
    "Table 1, ablation of dynamic feature weakening (DFW), the segmented learning network (SLN), random erasing (RE) "
    f"and channel exchange: {MEASURED} SLN stands for two branches, the hetero-center loss and the overlap penalty."
)
Sln = Literal["no", "two branches", "hetero-center", "two branches, hetero-center", "yes"]
NO_OVERLAP = ("loss.overlap.weight=0",)
WITHOUT_SLN: dict[Sln, tuple[str, ...]] = {
    "no": NO_SLN,
    "two branches": (*NO_OVERLAP, "loss.hetero_center.weight=0"),
    "hetero-center": (*NO_OVERLAP, "model.branches=1"),
    "two branches, hetero-center": NO_OVERLAP,
    "yes": (),
}
"""What switches off the parts of SLN that a row lacks."""


@dataclass(frozen=True)
class Variant:
    """One row: which parts it has."""

    dfw: bool = False
    sln: Sln = "no"
    re: bool = False
    exchange: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Cells of the row."""
        dfw, re, exchange = ("yes" if part else "no" for part in (self.dfw, self.re, self.exchange))
        return dfw, self.sln, re, exchange

    @property
    def label(self) -> str:
        """The parts it has, in words."""
        sln = {"no": "", "yes": "SLN"}.get(self.sln, self.sln)
        parts = ("DFW" * self.dfw, sln, "RE" * self.re, "exchange" * self.exchange)
        return " + ".join(part for part in parts if part) or "none"

    def jobs(self, grid: Grid) -> tuple[Job, ...]:
        """Its runs."""
        off = (*NO_DFW * (not self.dfw), *WITHOUT_SLN[self.sln], *NO_RE * (not self.re))
        return grid.jobs(*off, *(exchange(grid) if self.exchange else ()))


BOTH: Sln = "two branches, hetero-center"
APART = {
    Variant(sln="two branches"): Variant(),
    Variant(sln="hetero-center"): Variant(),
    Variant(sln=BOTH): Variant(),
    Variant(sln="yes"): Variant(sln=BOTH),
    Variant(dfw=True, sln=BOTH): Variant(sln=BOTH),
    Variant(sln=BOTH, re=True): Variant(sln=BOTH),
    Variant(sln=BOTH, exchange=True): Variant(sln=BOTH),
}
"""Factors apart: a variant, and the one that lacks that factor alone."""


def rows() -> list[Variant]:
    """Return the printed rows in their order."""
    return [
        Variant(row["dfw"] == "1", "yes" if row["sln"] == "1" else "no", row["re"] == "1")
        for row in published("table1")
    ]


def runs(grid: Grid) -> dict[str, tuple[Job, ...]]:
    """Return the runs of the printed rows, then of those that take SLN apart."""
    require_full_method(grid)
    return {row.label: row.jobs(grid) for row in (*rows(), *APART)}


def references() -> dict[str, str]:
    """Return what each row is compared with, by label: the one without a factor, else the one without any."""
    printed = {row.label: Variant().label for row in rows() if row != Variant()}
    return printed | {row.label: lacking.label for row, lacking in APART.items()}


def make(grid: Grid) -> Product:
    """Build the table of printed and measured results."""
    search = grid.searches[0]
    blocks = [
        Block(f"{layout.title} (paper)", "published", f"{layout.title} (paper)", ((layout.printed, 4),),
              _printed(name))
        for name, layout in printed_layouts().items()
    ]  # fmt: skip
    printed = {row.keys: row.values for row in _printed(grid.dataset.layout)} if grid.in_paper else {}
    ours = []
    for row in dict.fromkeys((*rows(), *APART)):
        found = values(grid, row.jobs(grid), search)
        ours.append(Row(row.keys, with_paper(found, printed.get(row.keys))))
    blocks.append(Block(grid.label, "measured", grid.label, ((search.title, 4),), tuple(ours)))
    table = ResultTable(
        "table1", f"{CAPTION} {grid.protocol}", ("DFW", "SLN", "RE", "exchange"), COLUMNS, tuple(blocks)
    )
    change = compared(grid, runs(grid), references())
    labels = [row.label for row in rows()]
    above = {f"Printed: {block.title}": (labels, [_there(row) for row in block.rows]) for block in blocks[:-1]}
    return Product(table, difference_figure(grid, change, above), files=change.files)


def _printed(layout: str) -> tuple[Row, ...]:
    def value(text: str) -> Value | None:
        found = number(text)
        return None if found is None else Value(found)

    return tuple(
        Row(variant.keys, {column: value(row[f"{layout}_{column}"]) for column in COLUMNS})
        for row, variant in zip(published("table1"), rows(), strict=True)
    )


def _there(row: Row) -> Numbers:
    return {f"there_{column}": row.values[column] for column in ("r1", "map")}


ITEM = Item(runs, make, COLUMNS)
