"""Tables and figures of one study on one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vireid.report.html import Table, render_page, write_page


@dataclass(frozen=True)
class Exhibit:
    """One table or figure: ``picture`` is a PNG file's bytes, ``tables`` its numbers, ``facts`` what somebody needs to
    repeat it and ``runs`` the runs behind it, one a line. ``name`` is its address in the page.
    """

    name: str
    title: str
    caption: str
    picture: bytes
    tables: tuple[Table, ...]
    facts: dict[str, str]
    runs: str


def write_collection(path: Path, title: str, summary: Sequence[str], exhibits: Sequence[Exhibit]) -> None:
    """Write the exhibits to ``path`` as one HTML file, atomically; ``summary`` is whole sentences.

    Raises:
        VireidError: jinja2 is not installed, or the file cannot be written.
    """
    write_page(path, render_page("collection.html.j2", title=title, summary=summary, exhibits=exhibits))
