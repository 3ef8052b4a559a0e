"""Tables 2 to 4, Figs. 1 and 6 and the page of them all, from tiny trained runs on a rendered set."""

from __future__ import annotations

import csv
import json
import re
import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.rendered import small
from tests.tiny import OVERRIDES
from vireid.reproduce import comparison
from vireid.reproduce.command import plan_reproduction, reproduce
from vireid.reproduce.comparison import PAPER_ROWS
from vireid.reproduce.grid import Grid, make_grid
from vireid.reproduce.items import item
from vireid.reproduce.jobs import Job
from vireid.reproduce.published import number, published
from vireid.synthetic.tree import write_tree

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("table2", "table3", "table4", "fig1", "fig6")
SMALL = (*OVERRIDES, "schedule.epochs=1", "schedule.lr=0.001")
TO_VISIBLE, TO_INFRARED = "infrared-to-visible", "visible-to-infrared"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """Two seeds of the baseline, three systems and the full method, and all that is made of them."""
    folder = tmp_path_factory.mktemp("products")
    write_tree(folder / "people", small(identities=7, seed=5, test_identities=3))
    grid = make_grid(folder / "people", folder / "out", recipe="small", seeds=2, overrides=SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIREID_CACHE", str(folder / "cache"))
        patch.setattr(comparison, "systems", lambda: ["agw", "bridge", "mmn"])
        for name in NAMES:
            reproduce(plan_reproduction(name, grid), ["vireid", "reproduce", name])
        yield grid


def lines(grid: Grid, name: str) -> list[dict[str, str]]:
    with (grid.out / name / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def measured(grid: Grid, name: str) -> list[dict[str, str]]:
    return [line for line in lines(grid, name) if line["source"] == "measured"]


def latex(grid: Grid, name: str) -> dict[str, str]:
    """The blocks of a table by their headers, which name their origin."""
    text = (grid.out / name / f"{name}.tex").read_text()
    parts = re.split(r"\\textbf\{((?:Published|Measured): .*?)\}\} \\\\", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def reached(grid: Grid, jobs: tuple[Job, ...], search: str, direction: str, key: str, method: str) -> list[float]:
    """A number of the paper's feature in every run, read from the files of results."""
    found = []
    for job in jobs:
        path = grid.folder(job) / "evaluation" / "people" / "results.json"
        (mean,) = (
            result["mean"]
            for result in json.loads(path.read_text())["results"]
            if (result["search"], result["direction"], result["method"]) == (search, direction, method)
            and result["feature"] == "after BNNeck"
        )
        found.append(100 * mean[key])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_row_states_its_origin_and_no_rendered_one_looks_real(grid: Grid, name: str) -> None:
    for line in lines(grid, name):
        assert line["source"] in ("published", "measured")
        if line["source"] == "published":
            assert re.search(r"\((paper|later work)", line["data"])
        elif line["data"] != "counted, no data":
            assert line["data"].startswith("people (rendered), small recipe")
        assert not [c for c in line if c.endswith("_paper") and line[c] and line["data"] != "counted, no data"]
    printed = {"published"} if name.startswith("table") else set()
    assert {line["source"] for line in lines(grid, name)} == {"measured"} | printed
    for header, block in latex(grid, name).items():
        if header.startswith("Measured") and "counted" not in header:
            assert "(rendered)" in header
        else:
            assert r"$\pm$" not in block


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_there_and_not_blank(grid: Grid, name: str) -> None:
    with Image.open(grid.out / name / f"{name}.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert min(pixels.shape) > 300
    assert (pixels < 128).mean() > 0.001
    assert len(np.unique(pixels)) > 10
    assert (grid.out / name / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("table3", {"first": ("all", TO_VISIBLE), "second": ("indoor", TO_VISIBLE)}),
        ("table4", {"first": ("all", TO_INFRARED), "second": ("all", TO_VISIBLE)}),
    ],
)
def test_comparisons_hold_mean_and_deviation_over_the_seeds_beside_the_printed_rows(
    grid: Grid, name: str, sides: dict[str, tuple[str, str]]
) -> None:
    runs = item(name).rows(grid)
    assert list(runs) == ["baseline", "agw", "this method + bridge", "mmn", "this method"]
    ours = iter(measured(grid, name))
    blocks = {header: block for header, block in latex(grid, name).items() if header.startswith("Measured")}
    for method, (header, block) in zip(("cosine", "k-reciprocal"), blocks.items(), strict=True):
        assert ("k-reciprocal" in header) == (method == "k-reciprocal")
        for label, jobs in runs.items():
            line = next(ours)
            assert line["method"] == label
            cells = []
            for side, (search, direction) in sides.items():
                for key, number_ in {"r1": "rank1", "r10": "rank10", "r20": "rank20", "map": "map"}.items():
                    found = reached(grid, jobs, search, direction, number_, method)
                    mean, std = statistics.fmean(found), statistics.stdev(found)
                    assert float(line[f"{side}_{key}"]) == pytest.approx(mean, abs=1e-4)
                    assert float(line[f"{side}_{key}_std"]) == pytest.approx(std, abs=1e-4)
                    cells.append(rf"{mean:.1f} $\pm$ {std:.1f}")
            assert f"{label} &  & {' & '.join(cells)} \\\\" in block
    assert next(ours, None) is None
    printed = sorted((line for line in lines(grid, name) if "(paper)" in line["data"]), key=lambda line: line["method"])
    prefix = {"table3": "all", "table4": "v2t"}[name]
    for line, source in zip(printed, sorted(published(name), key=lambda line: line["method"]), strict=True):
        assert line["method"] == source["method"]
        expected = number(source[f"{prefix}_r1"])
        assert line["first_r1"] == ("" if expected is None else f"{expected:.4f}".rstrip("0").rstrip("."))
        assert line["first_r1_std"] == ""
    reranked = {line["method"] for line in lines(grid, name) if line["data"].endswith("k-reciprocal re-ranking")}
    assert {"Ours(RK)", "IDKL", "this method"} <= reranked
    assert "Ours" not in reranked
    assert "released code re-ranks" in (grid.out / name / f"{name}.tex").read_text()
    assert len([line for line in lines(grid, name) if "(later work)" in line["data"]]) == len(published("sota"))


def test_table2_puts_counts_time_and_accuracy_beside_the_printed_ones(grid: Grid) -> None:
    counted = {line["method"]: line for line in measured(grid, "table2") if "counted" in line["data"]}
    assert float(counted["Baseline"]["params_m"]) == pytest.approx(23.737, abs=1e-3)
    assert float(counted["Ours"]["macs_g"]) == pytest.approx(15.1504, abs=1e-3)
    assert counted["Ours"]["params_m_paper"] == "26.71"
    assert not counted["Ours"]["r1"]
    ours = {line["method"]: line for line in measured(grid, "table2") if "rendered" in line["data"]}
    for label, jobs in item("table2").rows(grid).items():
        minutes = [json.loads((grid.folder(j) / "run.json").read_text())["training_seconds"] / 60 for j in jobs]
        assert float(ours[label]["train_min"]) == pytest.approx(statistics.fmean(minutes), abs=1e-4)
        found = reached(grid, jobs, "all", TO_VISIBLE, "map", "cosine")
        assert float(ours[label]["map"]) == pytest.approx(statistics.fmean(found), abs=1e-4)
        assert float(ours[label]["map_std"]) == pytest.approx(statistics.stdev(found), abs=1e-4)
    assert r"38.71 (26.71)" in "".join(latex(grid, "table2").values())


def test_printed_numbers_stand_in_brackets_where_the_data_are_the_papers(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Grid, "in_paper", True)
    plain = next(block for block in item("table3").make(grid).table.blocks if block.source == "measured")
    papers = {row.keys[0]: value.paper for row in plain.rows if (value := row.values["first_r1"])}
    assert papers["this method"] == 64.24
    assert papers["baseline"] is None
    assert not {("cosine", "two-stream"), ("cosine", "zero-padding")} & set(PAPER_ROWS)  # printed of another network


@pytest.mark.parametrize(("rule", "agw"), [("official", None), ("community", 47.5)])
def test_nothing_stands_beside_a_printed_number_of_another_gallery_rule(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, rule: str, agw: float | None
) -> None:
    monkeypatch.setattr(Grid, "in_paper", True)
    monkeypatch.setattr(Grid, "gallery_rule", rule)
    table = item("table3").make(grid).table
    plain = next(block for block in table.blocks if block.source == "measured")
    papers = {row.keys[0]: value.paper for row in plain.rows if (value := row.values["first_r1"])}
    assert papers["agw"] == agw
    assert f"Measured rows: {rule} galleries" in table.caption
    printed = {row.keys[0]: row.keys[1] for block in table.blocks if block.source == "published" for row in block.rows}
    assert printed["CAJ"] == "ICCV 2021, ResNet-50, community galleries"
    assert printed["SAAI"].endswith("official galleries")
    assert "galleries" not in printed["Ours"]


def test_every_caption_names_rule_and_feature(grid: Grid) -> None:
    for name in ("table2", "table3", "fig6"):
        caption = item(name).make(grid).table.caption
        assert grid.protocol in caption
        assert "galleries" in grid.protocol
        assert "after the BNNeck" in grid.protocol


def test_fig1_holds_shares_before_and_after_dfw_in_both_models(grid: Grid) -> None:
    found = {(line["model"], line["modality"], line["stage"]): line for line in measured(grid, "fig1")}
    stages = [f"{name} {when}" for name in grid.base.model.weakening.after for when in ("before", "after")]
    expected = [(m, k, s) for m in ("baseline", "DFW") for k in ("visible", "infrared") for s in (*stages, "layer4")]
    assert set(expected) < set(found)
    for key in expected:
        assert 0 < float(found[key]["body"]) < 100
        assert 0 < float(found[key]["strong"]) < 100
        assert -100 <= float(found[key]["correlation"]) <= 100
    for modality in ("visible", "infrared"):
        assert 0 < float(found["any", modality, "area of the body"]["body"]) < 100
    assert all("1 seed" in line["data"] for line in measured(grid, "fig1"))


def test_fig6_counts_what_its_lists_show(grid: Grid) -> None:
    rows = measured(grid, "fig6")
    assert [line["direction"] for line in rows] == ["visible to infrared"] * 3 + ["infrared to visible"] * 3
    for line in rows:
        first, right = line["first true match at rank"], int(line["right of 10"])
        assert (first == "none") == (right == 0)
        assert -1 <= float(line["similarity"]) <= 1


@pytest.fixture(scope="module")
def page(grid: Grid, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of all results alone in a folder, without a network."""
    from tests.browser import offline

    with offline(browser, grid.out / "index.html", tmp_path_factory.mktemp("alone")) as page:
        yield page


def test_one_page_shows_all_results_and_how_they_were_made(grid: Grid, page: Page) -> None:
    assert page.locator("h2").all_inner_texts() == ["Table 2", "Table 3", "Table 4", "Fig. 1", "Fig. 6"]
    images = page.locator("img")
    assert images.count() == len(NAMES)
    assert all(images.evaluate_all("all => all.map(image => image.complete && image.naturalWidth > 300)"))
    titles = page.locator("#table3 h3").all_inner_texts()
    assert titles[0] == "Published: SYSU-MM01 (paper)"
    assert all(title.startswith("Measured on rendered people: people (rendered)") for title in titles[-2:])
    assert "say nothing about" in page.locator("header").inner_text()
    page.locator("#table3 summary").evaluate_all("all => all.forEach(part => part.click())")
    told = page.locator("#table3").inner_text()
    for expected in ("vireid reproduce table3", "people (rendered)", "small model.weights=none", "0, 1"):
        assert expected in told
    assert f"this method: {grid.jobs()[1].name}" in told


def test_its_tables_sort_below_the_headers_of_their_groups(page: Page) -> None:
    table = page.locator("#table3 table").first
    assert table.locator("tr.groups th").all_inner_texts() == ["", "All search", "Indoor search"]
    button = table.locator("th button", has_text="mAP").nth(1)

    def column() -> list[float]:
        return [float(text) for text in table.locator("tbody tr td:last-child").all_inner_texts() if text != "–"]

    before = column()
    button.click()
    assert column() == sorted(before, reverse=True) != before
    button.click()
    assert column() == sorted(before)


def test_it_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
