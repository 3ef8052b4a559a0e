"""Tables of printed and measured numbers as CSV and LaTeX, with each kind in separate blocks."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vireid.files import atomic_path
from vireid.reproduce.measured import Value
from vireid.types import VireidError

MEASURED = "percent; measured rows are mean ± standard deviation over runs."
"""Text at the end of captions."""

Source = Literal["published", "measured"]
_ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_ESCAPES |= {c: f"\\{c}" for c in "&%$#_{}"} | {"λ": r"$\lambda$", "α": r"$\alpha$", "β": r"$\beta$"}


@dataclass(frozen=True)
class Row:
    """One line: its keys, and its numbers by column (None or missing: not printed or not measured)."""

    keys: tuple[str, ...]
    values: dict[str, Value | None]


@dataclass(frozen=True)
class Block:
    """Rows of one origin under their own header, so that no measured row can be mistaken for a printed one.

    ``groups`` are the headers over the columns, with the number of columns that each spans.
    """

    title: str
    source: Source
    data: str
    groups: tuple[tuple[str, int], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class ResultTable:
    """A table of the paper: ``keys`` are the headers of `Row.keys`, ``columns`` maps columns of numbers to headers."""

    name: str
    caption: str
    keys: tuple[str, ...]
    columns: dict[str, str]
    blocks: tuple[Block, ...]


def write_csv(path: Path, table: ResultTable) -> None:
    """Write one line per row, with its origin and data; besides the mean, ``_std`` is the deviation and ``_paper`` the
    printed value, if the same data set was measured.
    """
    values = [value for block in table.blocks for row in block.rows for value in row.values.values() if value]
    papers = any(value.paper is not None for value in values)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    suffixes = ("", "_std", "_paper") if papers else ("", "_std")
    writer.writerow(["source", "data", "searches", *table.keys, *(c + s for c in table.columns for s in suffixes)])
    for block in table.blocks:
        searches = "; ".join(title for title, _ in block.groups)
        for row in block.rows:
            cells = [cell for column in table.columns for cell in _cells(row.values.get(column))[: len(suffixes)]]
            writer.writerow([block.source, block.data, searches, *row.keys, *cells])
    with atomic_path(path) as temporary:
        temporary.write_text(buffer.getvalue(), encoding="utf-8")


def _cells(value: Value | None) -> list[str]:
    """Return mean, deviation and printed value as text, empty if missing."""
    parts = (value.mean, value.std, value.paper) if value else (None, None, None)
    return ["" if part is None else f"{part:.4f}".rstrip("0").rstrip(".") for part in parts]


def read_csv(path: Path, columns: dict[str, str]) -> tuple[tuple[str, ...], tuple[Block, ...]]:
    """Return the key columns and the blocks of a file that `write_csv` wrote with these columns of numbers. The title
    of a block is its data, and its groups share the columns evenly.

    Raises:
        VireidError: not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            names, *lines = csv.reader(file, strict=True)
        keys = tuple(names[3 : names.index(next(iter(columns)))])
        blocks = []
        for origin, group in itertools.groupby(lines, key=lambda line: line[:3]):
            source, data, searches = origin
            titles = searches.split("; ")
            rows = [_read_row(dict(zip(names, line, strict=True)), keys, columns) for line in group]
            groups = tuple((title, len(columns) // len(titles)) for title in titles)
            blocks.append(Block(data, "published" if source == "published" else "measured", data, groups, tuple(rows)))
    except (OSError, ValueError, KeyError, csv.Error):
        raise VireidError(f"{path}: not a table of vireid reproduce; delete it") from None
    return keys, tuple(blocks)


def _read_row(cells: dict[str, str], keys: tuple[str, ...], columns: dict[str, str]) -> Row:
    values: dict[str, Value | None] = {}
    for column in columns:
        mean, std, paper = (cells.get(column + suffix) for suffix in ("", "_std", "_paper"))
        values[column] = Value(float(mean), *(float(v) if v else None for v in (std, paper))) if mean else None
    return Row(tuple(cells[key] for key in keys), values)


def write_latex(path: Path, table: ResultTable) -> None:
    """Write a ``table`` environment in booktabs style; it needs ``\\usepackage{booktabs}``."""
    width = len(table.keys) + len(table.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.keys)}{'r' * len(table.columns)}}}",
        r"\toprule",
    ]
    for number, block in enumerate(table.blocks):
        if number:
            lines.append(r"\midrule")
        origin = "Published" if block.source == "published" else "Measured"
        lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textbf{{{origin}: {escape(block.title)}}}}} \\")
        lines += _group_lines(table, block)
        lines.append(" & ".join(escape(cell) for cell in (*table.keys, *table.columns.values())) + r" \\")
        lines.append(r"\midrule")
        lines += [_row_line(table, row) for row in block.rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def shown(value: Value | None) -> str:
    """Return a number as shown to readers: mean, deviation over runs, and the printed number in brackets."""
    if value is None:
        return "–"
    text = f"{value.mean:.2f}" if value.std is None else f"{value.mean:.1f} ± {value.std:.1f}"
    return text if value.paper is None else f"{text} ({value.paper:.2f})"


def escape(text: str) -> str:
    """Return ``text`` with characters that are special in LaTeX escaped."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _group_lines(table: ResultTable, block: Block) -> list[str]:
    if not any(title for title, _ in block.groups):
        return []
    cells = [rf"\multicolumn{{{span}}}{{c}}{{{escape(title)}}}" for title, span in block.groups]
    rules, start = [], len(table.keys) + 1
    for _, span in block.groups:
        rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return [" & ".join([*[""] * len(table.keys), *cells]) + r" \\", " ".join(rules)]


def _row_line(table: ResultTable, row: Row) -> str:
    cells: Sequence[str] = [*row.keys, *(shown(row.values.get(column)) for column in table.columns)]
    return " & ".join(escape(cell).replace("–", "--") for cell in cells) + r" \\"
