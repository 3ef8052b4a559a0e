"""Numbers printed in the paper and in later work: ``table1`` to ``table4``, ``sota`` and, as far as the text gives
numbers, ``fig3`` to ``fig5``. In percent; None if nothing is printed.
"""

from __future__ import annotations

import csv
from importlib import resources


def published(name: str) -> list[dict[str, str]]:
    """Return the rows of one published table as printed, e.g. ``published("table1")``."""
    text = (resources.files("vireid.reproduce.published") / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def number(text: str) -> float | None:
    """Return a printed number, None for the dash of a missing one."""
    return None if text == "-" else float(text)
