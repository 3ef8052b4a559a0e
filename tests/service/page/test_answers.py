"""What the page makes of answers that the mock can give and a quiet gallery would not: thresholds, odd names."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from playwright.sync_api import BrowserContext, expect

from tests.service.page.conftest import faultless
from tests.service.page.desk import Desk, Upload
from tests.service.page.mock import TOKEN, create_app, served
from tests.service.page.people import Picture

HOSTILE = "=cmd|'x'!A0,<img src=x onerror=\"window.hurt=1\"></li><script>window.hurt=1</script>\r\n"


def test_threshold_is_marked(searched: Desk) -> None:
    page = searched.page
    expect(page.locator("#threshold")).to_have_value("0.001")
    page.locator("#query [name=among][value=visible]").check(force=True)
    searched.search()
    cards = searched.cards()
    assert [card["below"] for card in cards] == [card["score"] < 0.62 for card in cards]
    above = sum(card["score"] >= 0.62 for card in cards)
    assert 0 < above < len(cards)
    expect(page.locator(".cut")).to_have_text(f"{above} of {len(cards)} above the threshold 0.620")
    assert page.locator(".cut").evaluate("line => [...line.parentNode.children].indexOf(line)") == above
    assert "above the threshold" in cards[0]["label"]
    assert "below the threshold" in cards[-1]["label"]
    page.select_option("#threshold", "")
    expect(page.locator(".cut")).to_have_count(0)
    assert not any(card["below"] for card in searched.cards())


def test_threshold_is_that_of_the_direction_asked(searched: Desk, day: Upload) -> None:
    options = searched.page.locator("#threshold option")
    assert options.all_inner_texts() == ["0.620 (1 in 1,000)", "0.500 (1 in 100)", "none"]
    searched.page.select_option("#threshold", "0.01")
    searched.page.click("#fresh")
    searched.give(day)
    searched.search()
    assert options.all_inner_texts() == ["0.580 (1 in 1,000)", "0.400 (1 in 100)", "none"]
    expect(searched.page.locator("#threshold")).to_have_value("0.01")
    infrared = [card for card in searched.cards() if card["kind"] == "IR"]
    assert [card["below"] for card in infrared] == [card["score"] < 0.4 for card in infrared]


def test_threshold_holds_between_modalities_only(searched: Desk) -> None:
    cards = searched.cards()  # of infrared and visible pictures, for an infrared query
    assert {card["kind"] for card in cards} == {"IR", "VIS"}
    assert {card["kind"] for card in cards if "the threshold" in card["label"]} == {"VIS"}
    expect(searched.page.locator(".cut")).to_have_count(0)
    rows = list(csv.DictReader(io.StringIO(searched.downloaded("#csv"))))
    assert {row["above_threshold"] for row in rows if row["modality"] == "infrared"} == {""}
    assert {row["above_threshold"] for row in rows if row["modality"] == "visible"} <= {"true", "false"}


def test_names_are_text_on_the_page_and_in_the_export(
    context: BrowserContext, pictures: list[Picture], night: list[Upload]
) -> None:
    odd = [replace(picture, name=HOSTILE, camera=HOSTILE, track=HOSTILE) for picture in pictures[:6]]
    with served(create_app(odd, [])) as url, faultless(Desk(context, url)) as desk:
        desk.enter(TOKEN)
        desk.give({**night[0], "name": "<b onclick=x>.jpg"})
        desk.search()
        desk.press("c")
        assert desk.cards()[0]["camera"] == HOSTILE
        assert desk.page.evaluate("window.hurt") is None
        assert desk.page.locator("main b[onclick], #grid script, #grid img[onerror]").count() == 0
        desk.press("Escape")
        rows = list(csv.DictReader(io.StringIO(desk.downloaded("#csv"), newline="")))
        assert rows[0]["name"] == f"'{HOSTILE}"  # no formula in a spreadsheet
        assert len(rows) == 6


def test_a_picture_from_elsewhere_is_not_asked_for(searched: Desk) -> None:
    entry = {"id": "a" * 64, "name": "n", "modality": "visible", "camera": "", "time": None, "track": None}
    match = {"entry": entry, "score": 0.5, "thumbnail": "https://elsewhere.example/x.jpg"}
    answer = {"matches": [match], "queries": [], "images": 1, "milliseconds": 1}
    searched.page.route("**/api/v1/search", lambda route: route.fulfill(json=answer))
    searched.search()
    expect(searched.page.locator(".card")).to_have_count(1)  # and `faults` is empty at the end
    assert not searched.cards()[0]["loaded"]


def test_script_inside_the_page_would_not_run(door: Desk) -> None:
    door.page.goto(door.base_url)
    door.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.hurt = 1";
        document.body.append(script);
    }""")
    assert door.page.evaluate("window.hurt") is None
    assert len(door.faults) == 1
    assert "Content Security Policy" in door.faults.pop()


def test_no_heat_map(searched: Desk) -> None:
    searched.page.route("**/heatmap", lambda route: route.fulfill(status=404, json={"error": "no such image"}))
    card = searched.page.locator(".card").nth(2)
    card.locator(".picture").hover()
    searched.page.locator(".card.heatless").wait_for()
    expect(card.locator(".heat")).to_be_hidden()
