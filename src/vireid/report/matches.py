"""The answer of a gallery as one HTML page that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vireid.report.html import render_page, write_page


@dataclass(frozen=True)
class Card:
    """One picture of the page: a small JPEG, a score (None for a query), a name and what is known, one line each."""

    picture: bytes
    score: float | None
    name: str
    lines: tuple[str, ...]


def write_matches(
    path: Path, title: str, notes: tuple[str, ...], queries: list[Card], groups: list[list[Card]]
) -> None:
    """Write the queries and the groups of matches, best first, atomically. All text is escaped; no script runs.

    Raises:
        VireidError: jinja2 is not installed, or the file cannot be written.
    """
    page = render_page("matches.html.j2", title=title, notes=notes, queries=queries, groups=groups)
    write_page(path, page)
