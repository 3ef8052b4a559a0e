"""The report of a run: one HTML file that needs no network, on a screen, a phone and paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vireid.figures.heatmaps import HeatmapRow, colour_table
from vireid.figures.ranked_lists import SIGNS, RankedList
from vireid.report.html import Table, render_page, write_page
from vireid.types import VireidError


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
    write_page(path, render(report))


def render(report: Report) -> str:
    """Return ``report`` as the text of one HTML page.

    Raises:
        VireidError: jinja2 or matplotlib is not installed.
    """
    return render_page(
        "report.html.j2",
        title=report.title,
        summary=report.summary,
        report=report,
        signs=SIGNS,
        scale=_gradient() if report.heatmaps else "",
    )


def _gradient() -> str:
    colours = colour_table()[:: 255 // 5]
    return ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours.tolist())
