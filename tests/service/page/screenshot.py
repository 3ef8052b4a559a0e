"""Photograph the page: `python -m tests.service.page.screenshot docs/images/search-page.png`.

Without an address the answers are the mock's, over rendered people: the look is real, the scores are made up.
With `--url`, `--token` and pictures it shows a running service.
"""

from __future__ import annotations

import argparse
import io
import shutil
from contextlib import nullcontext
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.service.page.desk import Desk, window
from tests.service.page.mock import TOKEN, create_app, served
from tests.service.page.people import before, gallery
from vireid.files import atomic_path


def photograph(desk: Desk, pictures: list[dict[str, object]]) -> bytes:
    """Search by day for a person seen by night, mark three matches, look at a heat map."""
    desk.give(*pictures)
    desk.page.locator("#query [name=among][value=visible]").check(force=True)
    desk.search()
    desk.press("r", "ArrowRight", "r", *["ArrowRight"] * 2, "w", "Home", *["ArrowRight"] * 2)
    desk.page.locator(".card .heat:visible").wait_for()
    return desk.page.screenshot(animations="disabled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", type=Path, nargs="*")
    parser.add_argument("--url")
    parser.add_argument("--token", default=TOKEN)
    given = parser.parse_args()
    unseen = before("yard", [4], image=7, height=288)
    files = [{"name": p.name, "mimeType": "image/jpeg", "buffer": p.read_bytes()} for p in given.pictures]
    files = files or [{"name": "night.jpg", "mimeType": "image/jpeg", "buffer": unseen[0].data}]
    service = nullcontext(given.url) if given.url else served(create_app(gallery(24, images=2, height=256), unseen))
    with service as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        desk = Desk(window(browser, color_scheme="dark", viewport={"width": 1200, "height": 840}), url)
        shot = Image.open(io.BytesIO(photograph(desk.enter(given.token), files)))
        browser.close()
    with atomic_path(given.out) as temporary:
        shot.convert("RGB").save(temporary, "PNG", optimize=True)


if __name__ == "__main__":
    main()
