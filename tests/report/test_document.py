from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.figures.curves import CmcCurve, cmc_figure
from vireid.figures.heatmaps import HeatmapRow
from vireid.figures.ranked_lists import RankedEntry, RankedList
from vireid.figures.style import to_svg
from vireid.report.document import Curve, Headline, RankedSection, Report, render, write_report
from vireid.report.html import Table
from vireid.types import Modality, VireidError

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

HOSTILE = "</title></script><script>alert(1)</script><img src=x onerror=alert(2)>\" ' onload='alert(3)' {{ 7 * 7 }}"
SECTIONS = ["headlines", "cmc", "ranked", "heatmaps", "tables", "training", "facts"]


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text outside script and style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 8, 3), dtype=np.uint8)


def full(name: str = "somebody") -> Report:
    svg = to_svg(cmc_figure([CmcCurve(name, np.ones(5))]))
    entries = (
        RankedEntry(image(1), name, 0.91, False, Modality.VISIBLE, name),
        RankedEntry(image(2), name, 0.42, True, Modality.VISIBLE, 2),
    )
    return Report(
        title=name,
        summary=(name, "Two."),
        headlines=(Headline(name, 0.712, chance=0.025, spread=0.008, detail=name),),
        curves=(Curve(name, svg, name),),
        ranked=(RankedSection(name, (RankedList(image(0), name, Modality.INFRARED, name, entries),), name),),
        heatmaps=(HeatmapRow(name, image(3), {name: image(4)}),),
        tables=(Table(name, (name, "mAP"), ((name, 0.5), ("two", None)), name),),
        training=(Curve(name, svg),),
        facts={name: name},
        recipe=f"name: {name}",
    )


def test_every_section_is_present_in_order_and_linked() -> None:
    page = Page(render(full()))
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert [link["href"] for link in page.all("a")] == [f"#{name}" for name in SECTIONS[1:]]
    for expected in (
        "71.2",
        "± 0.8 %",
        "chance 2.5 %",
        "First true match at rank 2.",
        "0.91",
        "✗",
        "0.42",
        "✓",
        "infrared",
    ):
        assert expected in " ".join(page.text.split())


def test_empty_parts_leave_no_section() -> None:
    page = Page(render(Report("empty", (), ())))
    assert page.all("section") == page.all("a") == page.all("img") == []
    assert "empty" in page.text


def test_list_without_true_match_says_so() -> None:
    section = full().ranked[0]
    wrong = replace(section.lists[0], entries=section.lists[0].entries[:1])
    html = render(replace(full(), ranked=(replace(section, lists=(wrong,)),)))
    assert "No true match among the 1 shown." in html


def test_hostile_names_add_no_element_and_no_attribute() -> None:
    tame, hostile = Page(render(full("tame-name"))), Page(render(full(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in tame.elements]
    assert [sorted(attributes) for _, attributes in hostile.elements] == [
        sorted(attributes) for _, attributes in tame.elements
    ]
    assert hostile.text.count("{{ 7 * 7 }}") == tame.text.count("tame-name")  # nor does it run in the template


def test_nothing_is_fetched_and_only_the_own_script_may_run() -> None:
    html = render(full(HOSTILE))
    page = Page(html)
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            address = attributes.get(name) or "#"
            assert address.startswith(("data:", "#")), (tag, address)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policies = [meta["content"] or "" for meta in page.all("meta") if "http-equiv" in meta]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert f"script-src 'sha256-{digest}';" in policies[0]


def test_images_are_the_given_ones_in_order() -> None:
    sources = [img["src"] or "" for img in Page(render(full())).all("img")]
    assert len(sources) == 5
    for seed, source in enumerate(sources):
        picture = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True)))
        assert np.array_equal(np.asarray(picture), image(seed))


def test_images_and_captions_name_modality_and_camera() -> None:
    page = Page(render(full("tame-name")))
    assert [img["alt"] for img in page.all("img")] == [
        "query, infrared, tame-name",
        "answer 1, visible, tame-name",
        "answer 2, visible, tame-name",
        "tame-name",
        "response, tame-name",
    ]
    words = " ".join(page.text.split())
    assert words.count("tame-nameinfrared cam tame-name") == 1
    assert words.count("tame-namevisible cam tame-name") == 1
    assert words.count("tame-namevisible cam 2") == 1


def test_cells_carry_the_number_to_sort_by_and_text_columns_do_not() -> None:
    rows = (("a", 0.125, "71.2 ± 0.8", None), ("b", 3, "−5 %", 1.0), ("c3", 10.3018, "+7", None))
    page = Page(render(Report("t", (), (), tables=(Table("t", ("text", "number", "with unit", "gap"), rows),))))
    keys = [cell.get("data-sort") for cell in page.all("td")]
    assert keys == [None, "0.125", "71.2", None, None, "3.0", "-5.0", "1.0", None, "10.3018", "7.0", None]
    assert [head.get("class") for head in page.all("th")] == [None, "number", "number", "number"]
    assert "–" in page.text
    assert "10.3018" in page.text


def test_report_replaces_the_old_one_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, full("first"))
    write_report(path, full("second"))
    assert "second" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full_disk(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(VireidError, match="no space left"):
        write_report(path, full())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_name_that_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", full("caf\udce9"))
    assert r"caf\udce9" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_missing_jinja2_names_the_extra_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(VireidError, match=r"jinja2 is not installed.*pip install 'vireid\[report\]'"):
        write_report(tmp_path / "report.html", full())
    assert not list(tmp_path.iterdir())


def test_wrong_numbers_rows_and_charts_are_refused() -> None:
    with pytest.raises(VireidError, match="headline 'rank-1': expected value between 0 and 1"):
        Headline("rank-1", 71.2)
    with pytest.raises(VireidError, match="expected chance between 0 and 1"):
        Headline("rank-1", 0.7, chance=float("nan"))
    with pytest.raises(VireidError, match="table 't': expected 2 cells in a row, got 1"):
        Table("t", ("a", "b"), (("a",),))
    with pytest.raises(VireidError, match="curve 'c': expected the <svg> element"):
        Curve("c", "<img src=x>")
