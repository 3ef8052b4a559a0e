"""Code shared by Tables 3 and 4: our method, the baseline and the other systems, beside all printed rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vireid.figures.points import Series, rows_figure
from vireid.layouts import LayoutSpec, Search, find_layout
from vireid.reproduce.grid import Grid
from vireid.reproduce.items import Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import NUMBERS, Value, values, with_paper
from vireid.reproduce.published import number, published
from vireid.reproduce.systems import system_jobs, systems
from vireid.reproduce.tables import MEASURED, Block, ResultTable, Row
from vireid.reproduce.variants import BASELINE, require_full_method

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADERS = {"r1": "R1", "r10": "R10", "r20": "R20", "map": "mAP"}
COLUMNS = {f"{side}_{key}": header for side in ("first", "second") for key, header in HEADERS.items()}
OURS, PLAIN = "this method", "baseline"
EXTENSIONS = {"bridge": f"{OURS} + bridge"}
"""Shipped recipes that extend our method, and the names of their rows."""
METHODS = {"cosine": "", "k-reciprocal": ", k-reciprocal re-ranking"}
PAPER_ROWS = {("cosine", OURS): "Ours", ("k-reciprocal", OURS): "Ours(RK)", ("cosine", "agw"): "AGW",
              ("cosine", "hct"): "HCT", ("cosine", "mmn"): "MMN"}  # fmt: skip
"""Measured rows that the printed row of a name can stand beside; Two-stream and Zero-padding were printed of another,
smaller network."""
PRINTED_GALLERIES = dict.fromkeys(("AGW", "HCT", "MMN", "CAJ", "DEEN"), "community")
PRINTED_GALLERIES |= dict.fromkeys(("MPANet", "SAAI", "IDKL"), "official")
"""How the codes of printed SYSU-MM01 rows draw their galleries; of the others, this paper's too, it is not known."""


@dataclass(frozen=True)
class Comparison:
    """A comparison table: ``prefixes`` and ``later`` are the column prefixes of its two groups in the printed table and
    in that of later work, ``titles`` their headers."""

    name: str
    layout: str
    titles: tuple[str, str]
    prefixes: tuple[str, str]
    later: tuple[str, str]

    def runs(self, grid: Grid) -> dict[str, tuple[Job, ...]]:
        """Return the runs of the baseline, of every system with a recipe, and of the full method."""
        require_full_method(grid)
        return _measured_rows(grid)

    def make(self, grid: Grid) -> Product:
        """Put the results, plain and re-ranked, beside the printed ones."""
        data = find_layout(self.layout).title
        groups = tuple((title, len(HEADERS)) for title in self.titles)
        blocks = []
        for name, prefixes, origin in ((self.name, self.prefixes, "paper"), ("sota", self.later, "later work")):
            lines = published(name)
            for method, addition in METHODS.items():
                rows = self._printed([line for line in lines if _ranked_by(line) == method], prefixes)
                title = f"{data} ({origin}){addition}"
                blocks.append(Block(title, "published", title, groups, rows))
        blocks += [self._ours(grid, method) for method in METHODS]
        notes = "; ".join(f"{line['method']}: {line['note']}" for line in published("sota") if line["note"])
        unknown = " The paper does not state its galleries; rows of a known other rule have no bracket."
        caption = (
            f"Table {self.name[-1]}, comparison with other methods: {MEASURED} {grid.protocol}"
            f"{unknown if self.layout == 'sysu' else ''} Notes on later work: {notes}."
        )
        table = ResultTable(self.name, caption, ("method", "about"), COLUMNS, tuple(blocks))
        return Product(table, _figure(table))

    def _printed(self, lines: Sequence[dict[str, str]], prefixes: tuple[str, str]) -> tuple[Row, ...]:
        rows = []
        for line in lines:
            found: dict[str, Value | None] = {}
            for side, prefix in zip(("first", "second"), prefixes, strict=True):
                for key in HEADERS:
                    value = number(line.get(f"{prefix}_{key}", "-"))
                    found[f"{side}_{key}"] = None if value is None else Value(value)
            known = PRINTED_GALLERIES.get(line["method"]) if self.layout == "sysu" else None
            parts = [line[part] for part in ("venue", "backbone") if part in line]
            about = ", ".join([*parts, f"{known} galleries"] if known else parts)
            rows.append(Row((line["method"], about), found))
        return tuple(rows)

    def _ours(self, grid: Grid, method: str) -> Block:
        printed = {row.keys[0]: row.values for row in self._printed(published(self.name), self.prefixes)}
        comparable = grid.in_paper and grid.dataset.layout == self.layout
        searches = self._searches(grid.layout)
        rows = []
        for label, jobs in _measured_rows(grid).items():
            found = {
                f"{side}_{key}": value
                for side, search in zip(("first", "second"), searches, strict=True)
                for key, value in values(grid, jobs, search, method).items()
            }
            name = PAPER_ROWS.get((method, label), "")
            same = self.layout != "sysu" or PRINTED_GALLERIES.get(name, grid.gallery_rule) == grid.gallery_rule
            paper = printed.get(name) if comparable and same else None
            rows.append(Row((label, ""), with_paper(found, paper)))
        groups = tuple((search.title, len(NUMBERS)) for search in searches)
        title = f"{grid.label}{METHODS[method]}"
        return Block(title, "measured", title, groups, tuple(rows))

    def _searches(self, layout: LayoutSpec) -> tuple[Search, ...]:
        """The column groups of our rows: both directions where the printed table shows both."""
        printed, columns = find_layout(self.layout).columns, layout.columns
        if len({s.direction for s in printed}) > len({s.direction for s in columns}):
            both = {search.direction: search for search in (columns[0], layout.opposite(columns[0]))}
            return tuple(both[search.direction] for search in printed)
        return columns


def _ranked_by(line: dict[str, str]) -> str:
    """Return the method of a printed row: plain or re-ranked similarities."""
    return "k-reciprocal" if line["method"].endswith("(RK)") or "re-ranks" in line.get("note", "") else "cosine"


def _measured_rows(grid: Grid) -> dict[str, tuple[Job, ...]]:
    rows = {PLAIN: grid.jobs(*BASELINE)} | {EXTENSIONS.get(name, name): system_jobs(grid, name) for name in systems()}
    return rows | {OURS: grid.jobs()}


def _figure(table: ResultTable) -> Figure:
    panels = {"R1 (%)": "first_r1", "mAP (%)": "first_map"}
    return rows_figure(
        {
            f"{block.data}: {block.groups[0][0]}": (
                [row.keys[0] for row in block.rows],
                {
                    title: Series.of(block.data, [row.values[c] for row in block.rows], block.source == "measured")
                    for title, c in panels.items()
                },
            )
            for block in table.blocks
            if not block.data.endswith(
                METHODS["k-reciprocal"]
            )  # only in the table; with them the figure would fill two pages
        }
    )
