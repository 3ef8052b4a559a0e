"""The page of all results in a folder, from the committed ones."""

from __future__ import annotations

import html
import shutil
from pathlib import Path

import pytest

from vireid.reproduce.index import write_index
from vireid.reproduce.items import item
from vireid.reproduce.measured import Value
from vireid.reproduce.tables import Block, ResultTable, Row, read_csv, shown, write_csv
from vireid.types import VireidError

RESULTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Table 1, a quick Fig. 3, a Table 2 whose writing was interrupted, and what else lies there."""
    shutil.copytree(RESULTS / "table1", tmp_path / "table1")
    shutil.copytree(RESULTS / "fig3", tmp_path / "fig3-quick")
    (tmp_path / "table2").mkdir()
    (tmp_path / "table2" / "table2.csv").write_text("source,da")
    (tmp_path / "runs").mkdir()
    return tmp_path


def test_a_table_comes_back_from_its_file_as_it_was_written(tmp_path: Path) -> None:
    columns = {"first_r1": "R1", "first_map": "mAP", "second_r1": "R1", "second_map": "mAP"}
    groups = (("All search", 2), ("Indoor search", 2))
    values = {"first_r1": Value(12.3456, 1.5, 64.24), "first_map": Value(0), "second_r1": None, "second_map": Value(-1)}
    rows = (Row(("yes", 'a, "b"'), values), Row(("no", ""), dict.fromkeys(columns)))
    blocks = (Block("x", "published", "x", groups, rows[:1]), Block("y", "measured", "y", groups, rows))
    path = tmp_path / "t.csv"
    write_csv(path, ResultTable("t", "", ("one", "two"), columns, blocks))
    assert read_csv(path, columns) == (("one", "two"), blocks)


def test_what_is_finished_is_shown_with_what_made_it(out: Path) -> None:
    page = write_index(out)
    assert page == out / "index.html"
    text = html.unescape(page.read_text())
    assert [f'id="{name}"' in text for name in ("table1", "fig3-quick", "table2", "fig3")] == [True, True, False, False]
    assert "<h2>Fig. 3, quick</h2>" in text
    assert "Measured on rendered people: synvi-1 (rendered), small recipe" in text
    assert "vireid reproduce table1 --data synvi-1" in text
    _, blocks = read_csv(out / "table1" / "table1.csv", item("table1").columns)
    for block in blocks:
        for value in block.rows[-1].values.values():
            assert f">{shown(value)}</td>" in text


def test_only_results_on_rendered_people_are_called_so(out: Path) -> None:
    for name in ("table1/table1", "fig3-quick/fig3"):
        path = out / f"{name}.csv"
        path.write_text(path.read_text().replace("synvi-1 (rendered)", "night (folder layout)"))
    text = write_index(out).read_text()
    assert "Measured: night (folder layout)" in text
    assert "rendered people" not in text


def test_names_from_files_add_nothing_to_the_page(out: Path) -> None:
    plain = write_index(out).read_text()
    hostile = "<script>alert(1)</script>"
    for path in (out / "table1" / "table1.csv", out / "table1" / "commands.txt"):
        path.write_text(path.read_text().replace("synvi-1", hostile))
    text = write_index(out).read_text()
    assert hostile not in text
    assert text.count("<script") == plain.count("<script") == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("table1.csv", b""),
        ("table1.csv", b"source,data,searches,DFW,r1\nmeasured,x\n"),
        ("table1.csv", b"source,data,searches,DFW,SLN,RE,r1,r10,r20,map\nmeasured,x,y,no,no,no,much,1,2,3\n"),
        ("table1.csv", b"\xff\xfe\x00"),
        ("table1.png", None),
        ("commands.txt", b"\xff"),
    ],
)
def test_a_broken_result_is_named(out: Path, file: str, content: bytes | None) -> None:
    write_index(out)
    before = (out / "index.html").read_bytes()
    if content is None:
        (out / "table1" / file).unlink()
    else:
        (out / "table1" / file).write_bytes(content)
    with pytest.raises(VireidError, match=r"table1.*delete it") as caught:
        write_index(out)
    assert "\n" not in str(caught.value)
    assert (out / "index.html").read_bytes() == before
