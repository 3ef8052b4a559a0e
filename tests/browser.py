"""A page of ours in a browser that has no network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page


@contextmanager
def offline(browser: Browser, file: Path, folder: Path) -> Iterator[Page]:
    """Open a copy of an HTML file alone in ``folder``; at the end nothing may have gone wrong or asked for more."""
    alone = folder / file.name
    alone.write_bytes(file.read_bytes())
    context = browser.new_context(offline=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else faults.append(r.url))
    page.goto(alone.as_uri())
    yield page
    context.close()
    assert faults == []
