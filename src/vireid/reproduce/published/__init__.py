"""The figures that the paper and later work print, as data: ``table1`` to ``table4``, ``sota`` and, as far as its text
gives them in numbers, ``fig3`` to ``fig5``. Percent; None where nothing is printed.
"""

from __future__ import annotations

import csv
from importlib import resources


def published(name: str) -> list[dict[str, str]]:
    """Return the rows of one published table as they are printed, e.g. ``published("table1")``."""
    text = (resources.files("vireid.reproduce.published") / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def number(text: str) -> float | None:
    """Return a printed figure, None for the dash of one that is not printed."""
    return None if text == "-" else float(text)
