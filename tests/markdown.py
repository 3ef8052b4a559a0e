"""The code of a Markdown page, and its execution."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of one language, of a page named from the repository's root, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def run_python(page: str) -> dict[str, Any]:
    """Run the Python of a page from top to bottom in the current folder and return the names it leaves."""
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks(page, "python"), start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    return names
