"""The answer of a gallery as one HTML page that needs no network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from vireid.figures import style
from vireid.files import atomic_path


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
    try:
        import jinja2
    except ImportError as error:
        raise style.missing_extra("jinja2") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["jpeg"] = lambda data: f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
    template = environment.get_template("matches.html.j2")
    page = template.render(style=style, title=title, notes=notes, queries=queries, groups=groups)
    with atomic_path(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", errors="backslashreplace"))
