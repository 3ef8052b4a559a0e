"""The report of a run: one HTML file that needs no network, on a screen, a phone and paper."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from vireid.figures import style
from vireid.figures.heatmaps import HeatmapRow, colour_table
from vireid.figures.images import data_uri
from vireid.figures.ranked_lists import SIGNS, RankedList
from vireid.files import atomic_path
from vireid.types import VireidError

Cell = str | int | float | None


@dataclass(frozen=True)
class Headline:
    """One number of the first screen: ``value``, ``chance`` and ``spread`` (standard deviation), fractions.

    ``chance`` is what a random ranking reaches, ``detail`` says over what (gallery size, trials).
    """

    name: str
    value: float
    chance: float | None = None
    spread: float | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        for what, number in (("value", self.value), ("chance", self.chance)):
            if number is not None and not 0 <= number <= 1:
                raise VireidError(f"headline {self.name!r}: expected {what} between 0 and 1, got {number}")


@dataclass(frozen=True)
class Table:
    """A table; text such as ``71.2 ± 0.8`` sorts by its first number, None is shown as a dash."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise VireidError(f"table {self.title!r}: expected {len(self.columns)} cells in a row, got {len(row)}")


@dataclass(frozen=True)
class Curve:
    """A chart: ``svg`` is what ``style.to_svg`` returns. It goes into the page unescaped."""

    title: str
    svg: str
    caption: str = ""

    def __post_init__(self) -> None:
        if not self.svg.startswith("<svg"):
            raise VireidError(f"curve {self.title!r}: expected the <svg> element that style.to_svg returns")


@dataclass(frozen=True)
class RankedSection:
    """Ranked lists that belong together, such as all infrared queries."""

    title: str
    lists: tuple[RankedList, ...]
    note: str = ""


@dataclass(frozen=True)
class Report:
    """Everything a report shows, in the order of the page; an empty part is left out.

    ``summary`` is whole sentences, ``curves`` the CMC charts, ``training`` the small charts of the losses,
    ``facts`` what somebody needs to repeat the run (versions, seed, git revision, difficulty, chance level)
    and ``recipe`` the run's recipe as YAML text.
    """

    title: str
    summary: tuple[str, ...]
    headlines: tuple[Headline, ...]
    curves: tuple[Curve, ...] = ()
    ranked: tuple[RankedSection, ...] = ()
    heatmaps: tuple[HeatmapRow, ...] = ()
    tables: tuple[Table, ...] = ()
    training: tuple[Curve, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    recipe: str = ""


def write_report(path: Path, report: Report) -> None:
    """Write ``report`` to ``path`` as one HTML file, atomically.

    Names of files and identities are escaped, and the page's security policy lets only its own script run.

    Raises:
        VireidError: jinja2 or matplotlib is not installed, or the file cannot be written.
    """
    # A file name that is not UTF-8 reaches Python with lone surrogates, which cannot be written as they are.
    content = render(report).encode("utf-8", errors="backslashreplace")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def render(report: Report) -> str:
    """Return ``report`` as the text of one HTML page.

    Raises:
        VireidError: jinja2 or matplotlib is not installed.
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
    environment.filters.update(data_uri=data_uri, percent=_percent, shown=_shown, sort_key=_sort_key)
    script = (folder / "report.js.j2").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        report=report,
        style=style,
        signs=SIGNS,
        scale=_gradient() if report.heatmaps else "",
        numeric=[_numeric_columns(table) for table in report.tables],
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
    )


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


def _gradient() -> str:
    colours = colour_table()[:: 255 // 5]
    return ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours.tolist())
