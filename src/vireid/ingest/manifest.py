"""Manifests: tables of image files with modality, camera, time and track, as CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vireid.gallery.times import parse_time
from vireid.ingest.sources import About, Source, file_source
from vireid.types import Modality, VireidError

COLUMNS = ("path", "modality", "camera", "time", "track")
"""Columns of a manifest. Only ``path`` is required; it is relative to the manifest's folder."""
MAX_ROWS = 10_000_000


def manifest_sources(file: Path, default: About) -> list[Source]:
    """Return the images that a manifest lists; ``default`` fills its empty cells.

    Raises:
        VireidError: not a manifest, unknown columns, an invalid cell (with its line number).
    """
    rows = read_table(file, COLUMNS, required=("path",))
    return [_source(file, line, row, default) for line, row in rows]


def _source(file: Path, line: int, row: dict[str, str], default: About) -> Source:
    where = f"{file}:{line}"
    if not row["path"] or "\0" in row["path"]:
        raise VireidError(f"{where}: path: expected the name of an image file, got {row['path'][:80]!r}")
    about = About(
        modality=parse_modality(row["modality"], where) if row["modality"] else None,
        camera=row["camera"],
        time=parse_time(row["time"], f"{where}: time") if row["time"] else None,
        track=row["track"] or None,
    ).or_else(default)
    return file_source(file.parent / row["path"], about)


def parse_modality(text: str, where: str) -> Modality:
    """Return the modality that a word names, in upper or lower case."""
    try:
        return Modality[text.strip().upper()]
    except KeyError:
        raise VireidError(f"{where}: modality: expected visible or infrared, got {text[:80]!r}") from None


def read_table(file: Path, columns: tuple[str, ...], required: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return (line, cells as text) for the rows of a CSV or Parquet file; a missing column has empty cells.

    Raises:
        VireidError: unreadable, too large, a required column is missing, or a column is not among ``columns``.
    """
    if not file.is_file():
        raise VireidError(f"{file}: no such file; expected a CSV or Parquet file with the columns {', '.join(columns)}")
    names, rows = _parquet(file) if file.suffix.lower() == ".parquet" else _csv(file)
    unknown = [name for name in names if name not in columns]
    missing = [name for name in required if name not in names]
    if unknown or missing or len(set(names)) != len(names):
        raise VireidError(f"{file}: expected the columns {', '.join(columns)}, got {', '.join(names)[:200]}")
    table: list[tuple[int, dict[str, str]]] = []
    for line, cells in rows:
        if len(cells) != len(names) or len(table) == MAX_ROWS:
            raise VireidError(f"{file}:{line}: expected {len(names)} cells and at most {MAX_ROWS} rows")
        table.append((line, dict.fromkeys(columns, "") | dict(zip(names, cells, strict=True))))
    return table


def _csv(file: Path) -> tuple[list[str], Iterable[tuple[int, list[str]]]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines)
            names = [name.strip() for name in next(reader, [])]
            return names, [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VireidError(f"{file}: expected a CSV file in UTF-8 ({error})") from None


def _parquet(file: Path) -> tuple[list[str], Iterable[tuple[int, list[str]]]]:
    try:
        import pyarrow as arrow
        import pyarrow.parquet
    except ImportError as error:
        raise VireidError("a Parquet manifest needs pyarrow: install with pip install 'vireid[search]'") from error
    try:
        table = pyarrow.parquet.read_table(file)
        names = list(table.column_names)
        columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    # besides its own errors: text that is not UTF-8, a time that Python cannot represent, an unknown time zone
    except (OSError, arrow.ArrowException, ValueError, OverflowError, KeyError) as error:
        raise VireidError(f"{file}: expected a Parquet file of text and times ({repr(error)[:120]})") from None
    return names, list(enumerate(map(list, zip(*columns, strict=True)), start=1))


def _text(value: Any) -> str:
    """Return a cell as text, as in a CSV file: a time in ISO 8601, null as an empty string."""
    if value is None:
        return ""
    return str(value.isoformat() if hasattr(value, "isoformat") else value).strip()
