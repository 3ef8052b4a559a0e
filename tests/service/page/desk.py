"""What an operator does at the page, as steps: they work against any service, given its address and a token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

Upload = Mapping[str, Any]  # what Playwright takes for a file: name, mimeType, buffer

# Playwright does not show the files of a form, so the page's own requests are written down before they are sent.
RECORD = """
window.sent = [];
const real = window.fetch;
window.fetch = (url, options = {}) => {
  if (options.body instanceof FormData) {
    const uploads = options.body.getAll("images").map((file) => file.name);
    window.sent.push({ ...JSON.parse(options.body.get("query")), uploads });
  }
  return real(url, options);
};
"""


def window(browser: Browser, **settings: Any) -> BrowserContext:
    """Open a window of its own (a second of a processor; a tab in an open one is cheaper)."""
    defaults = {"viewport": {"width": 1280, "height": 800}, "timezone_id": "Europe/Berlin", "locale": "en-GB"}
    return browser.new_context(**{**defaults, **settings})


class Desk:
    """One tab of the page. `faults` collects what must never happen: script errors and requests to other places."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.base_url = base_url
        self.faults: list[str] = []
        self.page.add_init_script(RECORD)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # The browser itself notes every answer that is not 2xx; those are the page's to explain, and tested.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.faults.append(message.text)

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.base_url:
            self.faults.append(f"a request to {request.url}")

    def enter(self, token: str) -> Desk:
        self.page.goto(f"{self.base_url}/#token={token}")
        self.page.locator("#desk").wait_for()
        return self

    def give(self, *files: Upload) -> None:
        before = self.page.locator("#strip li").count()
        self.page.set_input_files("#pictures", list(files))  # type: ignore[arg-type]
        self.page.locator("#strip li").nth(before + len(files) - 1).wait_for()

    def search(self, button: str = "#search") -> None:
        """Press the button and wait for the answer to be shown."""
        with self.page.expect_response("**/api/v1/search"):
            self.page.click(button)
        self.settle()

    def settle(self) -> None:
        self.page.locator("body:not(.busy)").wait_for()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def cards(self) -> list[dict[str, Any]]:
        """The matches as they stand on the page."""
        return list(
            self.page.locator(".card").evaluate_all(
                """cards => cards.map(card => ({
                    rank: Number(card.querySelector(".rank").textContent),
                    score: Number(card.querySelector(".score b").textContent),
                    camera: card.querySelector(".camera").textContent,
                    kind: card.querySelector(".kind").textContent,
                    mark: card.dataset.mark,
                    below: card.classList.contains("below"),
                    loaded: card.querySelector(".picture img").naturalWidth > 0,
                    label: card.ariaLabel,
                }))"""
            )
        )

    def sent(self) -> dict[str, Any]:
        """The last search as the page sent it."""
        return dict(self.page.evaluate("window.sent.at(-1)"))

    def downloaded(self, button: str) -> str:
        with self.page.expect_download() as download:
            self.page.click(button)
        with open(download.value.path(), encoding="utf-8", newline="") as file:  # noqa: PTH123
            return file.read()

    def hand(self, event: str, files: Sequence[Upload]) -> None:
        """Drop (``drop``) or paste (``paste``) files on the page."""
        packed = [{"name": file["name"], "type": file["mimeType"], "bytes": list(file["buffer"])} for file in files]
        self.page.evaluate(
            """([event, files]) => {
                const data = new DataTransfer();
                for (const f of files) data.items.add(new File([new Uint8Array(f.bytes)], f.name, { type: f.type }));
                const made = event === "paste"
                    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
                    : new DragEvent(event, { dataTransfer: data, bubbles: true, cancelable: true });
                document.body.dispatchEvent(made);
            }""",
            [event, packed],
        )

    def answer(self, status: int, body: str, headers: Mapping[str, str] | None = None) -> None:
        """Let the next search be answered so, without the service."""
        answer = {"status": status, "body": body, "content_type": "application/json", "headers": dict(headers or {})}
        self.page.route("**/api/v1/search", lambda route: route.fulfill(**answer), times=1)

    def refuse(self, status: int, error: str, headers: Mapping[str, str] | None = None) -> None:
        """Let the next search be refused."""
        self.answer(status, json.dumps({"error": error}), headers)

    def width(self) -> int:
        """The width of everything, in CSS pixels; wider than the window means sideways scrolling."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))
