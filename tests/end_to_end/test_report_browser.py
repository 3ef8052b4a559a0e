"""The report of a run in a real browser: a single file that shows everything without a network and sorts its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import offline

NUMBER = re.compile(r"-?\d+(\.\d+)?")


@pytest.fixture
def page(demo: Path, browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The page alone in a folder, without a network."""
    with offline(browser, demo / "report.html", tmp_path) as page:
        yield page


def test_pictures_load_and_nothing_is_asked_of_a_network(page: Page) -> None:
    images = page.locator("img")
    assert images.count() > 5
    assert all(images.evaluate_all("all => all.map(image => image.complete && image.naturalWidth > 0)"))
    assert page.locator("svg").count() >= 2


def test_tables_sort_by_the_column_that_is_pressed(page: Page) -> None:
    table = page.locator("table:has(th button)").first
    button = table.locator("th button", has_text="R1").first
    column = int(button.evaluate("button => button.closest('th').cellIndex"))

    def values() -> list[float]:
        cells = table.locator(f"tbody tr td:nth-child({column + 1}), tbody tr th:nth-child({column + 1})")
        return [float(found[0]) for found in map(NUMBER.search, cells.all_inner_texts()) if found]

    before = values()
    assert len(set(before)) > 2
    button.click()
    once = values()
    button.click()
    twice = values()
    assert once in (sorted(before), sorted(before, reverse=True))
    assert twice == sorted(before, reverse=once == sorted(before))


def test_it_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
