"""Table 1: DFW, SLN and random erasing, alone and together."""

from __future__ import annotations

from vireid.figures.points import Series, points_figure
from vireid.reproduce.grid import PAPER_NAMES, Grid
from vireid.reproduce.items import Item, Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import Value, values, with_paper
from vireid.reproduce.published import number, published
from vireid.reproduce.tables import MEASURED, Block, ResultTable, Row
from vireid.reproduce.variants import NO_DFW, NO_RE, NO_SLN, require_full_method
from vireid.types import Layout

COLUMNS = {"r1": "R1", "r10": "R10", "r20": "R20", "map": "mAP"}
PAPER: dict[Layout, str] = {"sysu": "All search", "regdb": "Visible to thermal"}
CAPTION = (
    "Table 1, ablation of dynamic feature weakening (DFW), the segmented learning network (SLN) and random erasing "
    f"(RE): {MEASURED}"
)


def rows() -> list[tuple[bool, bool, bool]]:
    """Return (DFW, SLN, RE) in the order of the printed rows."""
    return [(row["dfw"] == "1", row["sln"] == "1", row["re"] == "1") for row in published("table1")]


def variant(grid: Grid, dfw: bool, sln: bool, re: bool) -> tuple[Job, ...]:
    """Return the runs of one row."""
    return grid.jobs(*(() if dfw else NO_DFW), *(() if sln else NO_SLN), *(() if re else NO_RE))


def runs(grid: Grid) -> dict[str, tuple[Job, ...]]:
    """Return the runs of all eight rows."""
    require_full_method(grid)
    return {" ".join(_parts(row)): variant(grid, *row) for row in rows()}


def make(grid: Grid) -> Product:
    """Put the results beside the printed ones."""
    search = grid.searches[0]
    blocks = [
        Block(
            f"{PAPER_NAMES[layout]} (paper)",
            "published",
            f"{PAPER_NAMES[layout]} (paper)",
            ((title, 4),),
            _printed(layout),
        )
        for layout, title in PAPER.items()
    ]
    printed = {row.keys: row.values for row in _printed(grid.dataset.layout)} if grid.in_paper else {}
    ours = []
    for row in rows():
        found = values(grid, variant(grid, *row), search)
        ours.append(Row(_marks(row), with_paper(found, printed.get(_marks(row)))))
    blocks.append(Block(grid.label, "measured", grid.label, ((search.title, 4),), tuple(ours)))
    table = ResultTable("table1", f"{CAPTION} {grid.protocol}", ("DFW", "SLN", "RE"), COLUMNS, tuple(blocks))
    return Product(table, points_figure(_series(table), ["\n".join(_parts(row)) for row in rows()], ""))


def _printed(layout: Layout) -> tuple[Row, ...]:
    def value(text: str) -> Value | None:
        found = number(text)
        return None if found is None else Value(found)

    return tuple(
        Row(_marks(marks), {column: value(row[f"{layout}_{column}"]) for column in COLUMNS})
        for row, marks in zip(published("table1"), rows(), strict=True)
    )


def _series(table: ResultTable) -> dict[str, list[Series]]:
    return {
        panel: [
            Series.of(block.data, [row.values[column] for row in block.rows], block.source == "measured")
            for block in table.blocks
        ]
        for column, panel in (("r1", "R1 (%)"), ("map", "mAP (%)"))
    }


def _marks(row: tuple[bool, bool, bool]) -> tuple[str, ...]:
    return tuple("yes" if part else "no" for part in row)


def _parts(row: tuple[bool, bool, bool]) -> list[str]:
    return [name for name, there in zip(("DFW", "SLN", "RE"), row, strict=True) if there] or ["none"]


ITEM = Item(runs, make, COLUMNS)
