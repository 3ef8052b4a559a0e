"""The operator's work, step by step. Nothing depends on the mock: the steps hold for any service with these people."""

from __future__ import annotations

import csv
import io
import json

import pytest
from playwright.sync_api import Browser, expect

from tests.service.page.conftest import faultless
from tests.service.page.desk import Desk, Upload, window
from tests.service.page.people import CAMERAS, Picture


def test_upload_and_search(desk: Desk, night: list[Upload], pictures: list[Picture]) -> None:
    expect(desk.page.locator("#search")).to_be_disabled()
    desk.give(*night)
    expect(desk.page.locator("#strip-note")).to_have_text("2 pictures of one person")
    expect(desk.page.get_by_label("Infrared").first).to_be_checked()  # a picture without colour
    desk.page.select_option("#top", "10")
    desk.search()
    assert desk.sent() == {
        "modality": "infrared", "top": 10, "where": {}, "rerank": False, "group_by_track": False,
        "examples": [], "not": [], "heatmaps": True, "uploads": [file["name"] for file in night],
    }  # fmt: skip
    cards = desk.cards()
    assert [card["rank"] for card in cards] == list(range(1, 11))
    assert [card["score"] for card in cards] == sorted((card["score"] for card in cards), reverse=True)
    assert all(card["loaded"] and card["camera"] in CAMERAS and card["kind"] in ("IR", "VIS") for card in cards)
    expect(desk.page.locator("#summary")).to_contain_text(f"10 matches in a gallery of {len(pictures)} images")
    expect(desk.page.get_by_role("status")).to_contain_text("10 matches")


def test_modality_is_guessed_until_it_is_chosen(desk: Desk, night: list[Upload], day: Upload) -> None:
    visible, infrared = (desk.page.locator(f"#query [name=modality][value={name}]") for name in ("visible", "infrared"))
    desk.give(night[0])
    expect(infrared).to_be_checked()
    expect(desk.page.locator("#guess")).to_be_visible()
    desk.page.click("#fresh")
    desk.give(day)
    expect(visible).to_be_checked()
    desk.page.click("#fresh")
    infrared.check(force=True)
    desk.give(day)
    expect(infrared).to_be_checked()


def test_drop_and_paste(desk: Desk, day: Upload) -> None:
    for way in ("drop", "paste"):
        desk.hand(way, [day])
        desk.page.locator("#strip li").wait_for()
        expect(desk.page.get_by_label("Visible").first).to_be_checked()
        desk.search()
        assert desk.sent()["uploads"] == [day["name"]]
        desk.page.get_by_label(f"Remove {day['name']}").click()
        expect(desk.page.locator("#search")).to_be_disabled()


def test_filters_are_sent_and_obeyed(desk: Desk, night: list[Upload], pictures: list[Picture]) -> None:
    desk.give(night[0])
    page = desk.page
    page.locator("#query [name=among][value=visible]").check(force=True)
    page.get_by_label("Only camera hall").click()
    page.get_by_label("Not camera gate").click()
    page.fill("#since", "2026-03-14T18:30")  # in Berlin, an hour ahead of UTC
    page.fill("#until", "2026-03-14T19:00")
    page.check("#rerank")
    desk.search()
    assert desk.sent()["where"] == {
        "modality": "visible", "cameras": ["hall"], "not_cameras": ["gate"],
        "since": "2026-03-14T17:30:00.000Z", "until": "2026-03-14T18:00:00.000Z",
    }  # fmt: skip
    assert desk.sent()["rerank"]
    start, end = "2026-03-14T17:30:00+00:00", "2026-03-14T18:00:00+00:00"
    passing = [p for p in pictures if p.camera == "hall" and start <= p.time < end]
    assert 0 < len(passing) < len(pictures)
    assert [card["camera"] for card in desk.cards()] == ["hall"] * len(passing)
    page.get_by_label("Only camera hall").click()  # a second press lifts it
    page.click("#clear-where")
    expect(page.locator("#stale")).to_be_visible()
    desk.search()
    assert desk.sent()["where"] == {}


def test_last_hour_is_before_the_newest_image(desk: Desk, night: list[Upload], pictures: list[Picture]) -> None:
    desk.give(night[0])
    desk.page.click("#spans [data-hours='1']")
    desk.search()
    hour = max(p.time for p in pictures)
    assert hour.startswith("2026-03-14T21:24")
    assert desk.sent()["where"] == {"since": "2026-03-14T20:24:00.000Z"}


def test_end_before_start_is_not_sent(desk: Desk, night: list[Upload]) -> None:
    desk.give(night[0])
    desk.page.fill("#since", "2026-03-14T19:00")
    desk.page.fill("#until", "2026-03-14T18:00")
    desk.page.click("#search")
    assert "before the start" in desk.page.locator("#until").evaluate("field => field.validationMessage")
    assert desk.page.evaluate("window.sent") == []


def test_mark_and_refine(searched: Desk) -> None:
    page = searched.page
    first, second = page.locator(".card").nth(0), page.locator(".card").nth(1)
    names = [card.get_attribute("title") for card in (first, second)]
    first.get_by_label("Right").click()
    second.get_by_label("Wrong").click()
    assert [card["mark"] for card in searched.cards()[:3]] == ["right", "wrong", ""]
    expect(first.locator(".sign")).to_have_text("✓")  # not by colour alone
    expect(second.locator(".sign")).to_have_text("✗")
    searched.search("#refine")
    sent = searched.sent()
    assert (len(sent["examples"]), len(sent["not"])) == (1, 1)
    assert sent["examples"] != sent["not"]
    assert len(sent["uploads"]) == 1
    titles = page.locator(".card").evaluate_all("cards => cards.map(card => card.title)")
    assert names[0] in titles
    assert names[1] not in titles
    expect(page.locator("#strip li")).to_have_count(2)
    expect(page.locator("#strip-note")).to_contain_text("1 wrong match left out")
    expect(page.locator("#refine")).to_be_disabled()  # nothing new to refine with
    page.locator("#strip .example button").click()
    page.click("#unmark")
    searched.search()
    assert (searched.sent()["examples"], searched.sent()["not"]) == ([], [])


def test_a_match_alone_can_be_the_query(searched: Desk, night: list[Upload]) -> None:
    searched.page.locator(".card").nth(1).get_by_label("Right").click()
    searched.search("#refine")
    searched.page.get_by_label(f"Remove {night[0]['name']}").click()
    searched.search()
    assert searched.sent()["uploads"] == []
    assert len(searched.sent()["examples"]) == 1
    assert searched.cards()[0]["mark"] == "right"


def test_keys(searched: Desk) -> None:
    page = searched.page
    focused = "document.activeElement.querySelector('.rank')?.textContent"
    assert page.evaluate(focused) == "1"  # the first match, after a search
    searched.press("ArrowRight", "ArrowRight", "r", "ArrowLeft", "w")
    assert [card["mark"] for card in searched.cards()[:3]] == ["", "wrong", "right"]
    expect(page.get_by_role("status")).to_have_text("Rank 2 marked wrong")
    assert searched.cards()[1]["label"].endswith("marked wrong")
    searched.press("w")
    assert searched.cards()[1]["mark"] == ""
    searched.press("ArrowDown")
    below = int(page.evaluate(focused))
    boxes = [page.locator(".card").nth(index).bounding_box() for index in (1, below - 1)]
    assert boxes[0]["x"] == pytest.approx(boxes[1]["x"], abs=1)  # type: ignore[index]
    assert boxes[0]["y"] < boxes[1]["y"]  # type: ignore[index]
    searched.press("ArrowUp")
    assert page.evaluate(focused) == "2"
    searched.press("End")
    assert int(page.evaluate(focused)) == len(searched.cards())
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"  # visible focus
    searched.press("?")
    expect(page.locator("#keys")).to_be_visible()
    searched.press("Escape", "/")
    expect(page.locator("#pictures")).to_be_focused()
    expect(page.locator("#keys")).to_be_hidden()
    with page.expect_response("**/api/v1/search"):
        searched.press("f")
    searched.settle()
    assert len(searched.sent()["examples"]) == 1
    page.click("#fresh")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#strip li")).to_have_count(0)


def test_heat_map_on_hover_and_focus(searched: Desk) -> None:
    page = searched.page
    card = page.locator(".card").nth(3)
    card.locator(".picture").hover()
    heat = card.locator(".heat")
    expect(heat).to_be_visible()
    assert heat.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.locator("#summary").hover()
    expect(heat).to_be_hidden()
    searched.press("ArrowRight")
    expect(page.locator(".card").nth(1).locator(".heat")).to_be_visible()
    searched.press("h")
    expect(page.locator(".card .heat:visible")).to_have_count(0)
    card.locator(".picture").hover()
    page.wait_for_timeout(400)
    expect(heat).to_be_hidden()


def test_compare(searched: Desk) -> None:
    page = searched.page
    searched.press("ArrowRight", "c")
    left, right = page.locator("#compare figure").nth(0), page.locator("#compare figure").nth(1)
    scores = [card["score"] for card in searched.cards()]
    expect(left).to_contain_text("Query")
    expect(right).to_contain_text(f"{scores[1]:.3f}")
    searched.press("ArrowRight", "r")
    expect(right).to_contain_text(f"{scores[2]:.3f}")
    assert searched.cards()[2]["mark"] == "right"
    left.locator("select").select_option(index=1)  # any two: here the first match
    expect(left.locator("figcaption")).to_contain_text(f"{scores[0]:.3f}")
    plain = right.locator("img").get_attribute("src")
    searched.press("Tab", "h")
    expect(right.locator("img")).not_to_have_attribute("src", str(plain))
    searched.press("Escape")
    expect(page.locator("#compare")).to_be_hidden()
    # the focus returns once the dialog has closed
    page.wait_for_function("document.activeElement.querySelector('.rank')?.textContent === '3'")


def test_export(searched: Desk, night: list[Upload]) -> None:
    page = searched.page
    page.locator(".card").nth(0).get_by_label("Right").click()
    page.locator(".card").nth(1).get_by_label("Wrong").click()
    searched.search("#refine")
    rows = list(csv.DictReader(io.StringIO(searched.downloaded("#csv"))))
    cards = searched.cards()
    assert [int(row["rank"]) for row in rows[:-1]] == [card["rank"] for card in cards]
    assert [f"{float(row['score']):.3f}" for row in rows[:-1]] == [f"{card['score']:.3f}" for card in cards]
    assert [row["camera"] for row in rows[:-1]] == [card["camera"] for card in cards]
    assert (rows[-1]["rank"], rows[-1]["mark"]) == ("", "wrong")  # left out of the list, not of the record
    assert [row["mark"] for row in rows].count("right") == 1
    whole = json.loads(searched.downloaded("#json"))
    assert whole["query"]["pictures"] == [night[0]["name"]]
    assert [match["id"] for match in whole["matches"]] == [row["id"] for row in rows]
    assert {"exported", "model", "fingerprint", "threshold", "images"} <= set(whole)


def test_group_by_track(desk: Desk, night: list[Upload]) -> None:
    desk.give(night[0])
    desk.page.check("#group")
    desk.search()
    assert desk.sent()["group_by_track"]
    card = desk.page.locator(".card").first
    expect(card.locator(".group")).to_contain_text("2 of this track")
    card.get_by_label("Wrong").click()
    desk.search("#refine")
    assert len(desk.sent()["not"]) == 2  # the whole track is somebody else


def test_themes(browser: Browser, base_url: str, token: str) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with faultless(Desk(window(browser, color_scheme="dark"), base_url)) as desk:
        desk.enter(token)
        dark = desk.page.evaluate(background)
        desk.page.click("#theme")
        bright = desk.page.evaluate(background)
        assert bright != dark
        desk.page.reload()
        desk.page.locator("#desk").wait_for()
        assert desk.page.evaluate(background) == bright  # kept, and the token too
        desk.page.click("#theme")
        assert desk.page.evaluate(background) == dark


def test_phone(browser: Browser, base_url: str, token: str, night: list[Upload]) -> None:
    screen = {"width": 360, "height": 740}
    phone = window(browser, viewport=screen, has_touch=True, is_mobile=True)
    with faultless(Desk(phone, base_url)) as desk:
        desk.page.goto(base_url)
        desk.page.locator("#door").wait_for()
        assert desk.width() <= 360
        desk.enter(token)
        desk.give(*night)
        assert desk.width() <= 360
        for part in desk.page.locator("summary").all():
            part.tap()
        assert desk.width() <= 360
        desk.search()
        expect(desk.page.locator(".card").first).to_be_in_viewport()
        desk.page.locator(".card").first.get_by_label("Right").tap()
        assert desk.width() <= 360
        desk.page.locator(".card .picture").first.tap()
        box = desk.page.locator("#compare").bounding_box()
        assert box is not None
        assert (box["x"] >= 0, box["x"] + box["width"] <= 360) == (True, True)
        assert box["height"] <= 740
