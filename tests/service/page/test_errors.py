"""Everything that can go wrong is said in one line, with what helps; nothing that was chosen or marked is lost."""

from __future__ import annotations

import io
from contextlib import ExitStack

from PIL import Image
from playwright.sync_api import BrowserContext, expect

from tests.service.page.conftest import faultless
from tests.service.page.desk import Desk, Upload
from tests.service.page.mock import LARGEST, TOKEN, create_app, served
from tests.service.page.people import Picture


def test_no_token_then_a_wrong_one_then_the_right_one(door: Desk, token: str) -> None:
    page = door.page
    page.goto(door.base_url)
    expect(page.locator("#token")).to_be_focused()
    expect(page.locator("#desk")).to_be_hidden()
    expect(page.locator("#token-error")).to_be_empty()
    page.fill("#token", "wrong")
    door.press("Enter")
    expect(page.locator("#token-error")).to_contain_text("token")
    expect(page.locator("#token")).to_have_value("")
    page.fill("#token", "ein Tökén")  # no header can hold it
    door.press("Enter")
    expect(page.locator("#token-error")).to_contain_text("token")
    page.fill("#token", token)
    door.press("Enter")
    expect(page.locator("#desk")).to_be_visible()
    page.click("#leave")
    expect(page.locator("#door")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_token_leaves_the_address(desk: Desk, token: str) -> None:
    assert desk.page.url == f"{desk.base_url}/"
    assert token not in desk.page.content()


def test_token_that_ends_in_mid_work(searched: Desk, token: str) -> None:
    searched.page.locator(".card").nth(0).get_by_label("Right").click()
    searched.refuse(401, "token: expired; ask for a new one")
    searched.page.click("#search")
    expect(searched.page.locator("#token-error")).to_have_text("token: expired; ask for a new one")
    searched.page.fill("#token", token)
    searched.press("Enter")
    searched.page.locator("#desk").wait_for()
    assert searched.cards()[0]["mark"] == "right"
    searched.search()


def test_not_an_image(desk: Desk, day: Upload) -> None:
    text = {"name": "notes.txt", "mimeType": "image/jpeg", "buffer": b"not a picture"}
    desk.page.set_input_files("#pictures", [text, day])  # type: ignore[list-item]
    expect(desk.page.get_by_role("alert").first).to_contain_text("notes.txt: not a picture that this browser can read")
    expect(desk.page.locator("#strip li")).to_have_count(1)  # the other one is kept
    desk.page.get_by_label("Close the message").click()
    expect(desk.page.locator("#alert")).to_be_hidden()


def test_not_an_image_for_the_service(desk: Desk) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(buffer, "ICO")  # which a browser can show
    desk.give({"name": "sign.ico", "mimeType": "image/x-icon", "buffer": buffer.getvalue()})
    desk.search()
    expect(desk.page.locator("#alert")).to_contain_text("sign.ico")


def test_too_large(desk: Desk, day: Upload) -> None:
    desk.give({**day, "name": "huge.jpg", "buffer": day["buffer"] + bytes(LARGEST)})
    desk.search()
    expect(desk.page.locator("#alert")).to_contain_text(f"at most {LARGEST}")
    expect(desk.page.locator("#strip li")).to_have_count(1)


def test_busy_tries_again_by_itself(desk: Desk, night: list[Upload]) -> None:
    desk.give(night[0])
    desk.refuse(429, "the queue is full: try again in a second", {"Retry-After": "1"})
    desk.page.click("#search")
    expect(desk.page.locator("#alert")).to_contain_text("queue is full")
    expect(desk.page.locator("#alert button").first).to_have_text("Try again (1 s)")
    expect(desk.page.locator(".card")).not_to_have_count(0)
    expect(desk.page.locator("#alert")).to_be_hidden()


def test_service_gone(context: BrowserContext, pictures: list[Picture], night: list[Upload]) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(served(create_app(pictures, [])))
        with faultless(Desk(context, url)) as desk:
            desk.enter(TOKEN).give(night[0])
            desk.search()
            shown = desk.cards()
            stack.close()
            desk.page.click("#search")
            expect(desk.page.locator("#alert")).to_contain_text("The service does not answer")
            expect(desk.page.locator("#alert button").first).to_have_text("Try again")
            assert desk.cards() == shown


def test_stop_a_search_that_hangs(searched: Desk) -> None:
    searched.page.route("**/api/v1/search", lambda route: None)
    searched.page.click("#search")
    expect(searched.page.locator("#search")).to_have_text("Stop")
    searched.press("Escape")
    expect(searched.page.locator("#search")).to_have_text("Search again")
    expect(searched.page.locator("#alert")).to_be_hidden()


def test_an_answer_that_is_no_answer(searched: Desk) -> None:
    shown = searched.cards()
    refusal = "The service answered with status 502."
    unreadable = "reload the page"
    bodies = {
        "<h1>Bad gateway</h1>": refusal,
        "[1]": refusal,
        '{"error": 5}': refusal,
        "<p>": unreadable,
        "{}": unreadable,
    }
    for body, said in bodies.items():
        searched.answer(502 if said is refusal else 200, body)
        searched.search()
        expect(searched.page.locator("#alert")).to_contain_text(said)
        assert searched.cards() == shown
        searched.page.get_by_label("Close the message").click()
    searched.faults.clear()  # the last is the service's fault, and stands in the browser's log


def test_empty_gallery(context: BrowserContext, night: list[Upload]) -> None:
    with served(create_app([], [])) as url, faultless(Desk(context, url)) as desk:
        desk.enter(TOKEN)
        expect(desk.page.locator("#empty")).to_contain_text("vireid gallery add")
        desk.give(night[0])
        expect(desk.page.locator("#search")).to_be_disabled()
        expect(desk.page.locator("#since")).to_be_disabled()


def test_no_match_under_the_filter(searched: Desk) -> None:
    for camera in ("gate", "hall", "yard", "lane"):
        searched.page.get_by_label(f"Not camera {camera}").click()
    searched.search()
    assert searched.cards() == []
    expect(searched.page.locator("#empty")).to_contain_text("No image in the gallery passes the filter: not 4 cameras")
    searched.search("#empty button")
    assert searched.cards() != []
