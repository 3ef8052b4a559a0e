"""One HTML page with all tables and figures in a folder."""

from __future__ import annotations

from pathlib import Path

from vireid.report.collection import Exhibit, write_collection
from vireid.report.html import Cell, Table
from vireid.reproduce.grid import RENDERED
from vireid.reproduce.items import NAMES, item
from vireid.reproduce.tables import Block, read_csv, shown
from vireid.types import VireidError

RECORD = "commands.txt"
"""The last file written for a table or figure, which says how it was made."""
HOW_TO_READ = (
    "Published and measured numbers are in separate blocks, and every measured block states its data. A published "
    "number follows one of ours in brackets only if both are for the same data set, or need none."
)
NOT_REAL = (
    "Blocks headed “Measured on rendered people” use rendered images, not photographs: they say nothing about the "
    "numbers on a real data set."
)


def write_index(out: Path) -> Path:
    """Write ``out/index.html`` from the tables and figures in ``out`` and return its path.

    Raises:
        VireidError: the report extra is not installed, a broken table in ``out``, or it cannot be written.
    """
    names = [f"{name}{suffix}" for name in NAMES for suffix in ("", "-quick")]
    exhibits = [_exhibit(out / name) for name in names if (out / name / RECORD).is_file()]
    rendered = any(RENDERED in table.title for exhibit in exhibits for table in exhibit.tables)
    page = out / "index.html"
    write_collection(page, "The paper's tables and figures", [HOW_TO_READ, *([NOT_REAL] if rendered else [])], exhibits)
    return page


def _exhibit(folder: Path) -> Exhibit:
    name, _, quick = folder.name.partition("-")
    columns = item(name).columns
    keys, blocks = read_csv(folder / f"{name}.csv", columns)
    try:
        picture = (folder / f"{name}.png").read_bytes()
        lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise VireidError(f"{folder}: cannot be read ({error}); delete it and run vireid reproduce again") from None
    facts = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(" "))
    title = f"{'Table' if name.startswith('table') else 'Fig.'} {name[-1]}{', quick' if quick else ''}"
    return Exhibit(
        folder.name,
        title,
        facts.pop("caption", ""),
        picture,
        tuple(_table(keys, columns, block) for block in blocks),
        facts | {"files": ", ".join(f"{folder.name}/{name}.{ending}" for ending in ("csv", "tex", "pdf", "png"))},
        "\n".join(line.strip() for line in lines if line.startswith(" ")),
    )


def _table(keys: tuple[str, ...], columns: dict[str, str], block: Block) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (*row.keys, *(shown(value) if (value := row.values[column]) else None for column in columns))
        for row in block.rows
    ]
    origin = "Published" if block.source == "published" else "Measured"
    people = " on rendered people" if RENDERED in block.data else ""
    groups = (("", len(keys)), *block.groups) if any(title for title, _ in block.groups) else ()
    return Table(f"{origin}{people}: {block.data}", (*keys, *columns.values()), tuple(rows), groups=groups)
