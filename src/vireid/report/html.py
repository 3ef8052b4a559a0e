"""Common parts of the HTML pages: one file without network access, sortable tables, escaped text."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.figures import style
from vireid.figures.images import data_uri
from vireid.files import atomic_path
from vireid.types import VireidError

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A table; text such as ``71.2 ± 0.8`` sorts by its first number, None is shown as a dash.

    ``groups`` are headers over the columns, with how many columns each spans; none or as many columns as there are.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    groups: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise VireidError(f"table {self.title!r}: expected {len(self.columns)} cells in a row, got {len(row)}")


def render_page(template: str, **content: Any) -> str:
    """Return a page as text; its policy lets only the script run that sorts tables.

    Raises:
        VireidError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise style.missing_extra("jinja2") from error
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        data_uri=data_uri,
        file_uri=_file_uri,
        percent=_percent,
        shown=_shown,
        sort_key=_sort_key,
        numeric=_numeric_columns,
    )
    script = (folder / "report.js.j2").read_text(encoding="utf-8")
    script_hash = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template(template).render(style=style, script=script, script_hash=script_hash, **content)


def write_page(path: Path, page: str) -> None:
    """Write the text of a page atomically.

    Raises:
        VireidError: the file cannot be written.
    """
    # A file name that is not UTF-8 reaches Python with lone surrogates, which cannot be written as they are.
    content = page.encode("utf-8", errors="backslashreplace")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _file_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _sort_key(cell: Cell) -> float | None:
    """Return the number a cell sorts by, None for text."""
    if isinstance(cell, int | float):
        return float(cell)
    number = re.match(r"[-+−]?\d+(\.\d+)?", cell or "")
    return float(number[0].replace("−", "-")) if number else None


def _numeric_columns(table: Table) -> list[bool]:
    columns = [[row[column] for row in table.rows] for column in range(len(table.columns))]
    return [all(cell is None or _sort_key(cell) is not None for cell in column) for column in columns]
