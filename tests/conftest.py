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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. While it is open Playwright runs an event loop, beside which no test may start its own."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("neither chromium nor google-chrome is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
