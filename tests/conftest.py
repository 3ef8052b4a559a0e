"""What tests of several folders share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

collect_ignore = ["outside_package"]
"""A package of its own, which test_outside_package.py installs."""
NO_BROWSER = "neither chromium nor google-chrome is installed"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last how many tests of pages did not run for lack of a browser, and how to get one."""
    skipped = [one for one in terminalreporter.getreports("skipped") if NO_BROWSER in str(one.longrepr)]
    if skipped:
        how = "install one: apt-get install chromium, or brew install --cask google-chrome"
        terminalreporter.write_line(f"{len(skipped)} tests of pages did not run, {NO_BROWSER}; {how}", yellow=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. While it is open Playwright runs an event loop, beside which no test may start its own."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip(NO_BROWSER)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
