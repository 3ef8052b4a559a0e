"""docs/python.md runs from top to bottom in an empty folder, and no block of it is long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import blocks, files_of, read_page, run_snippets

PAGE = read_page("python.md")


def test_every_task_takes_about_ten_lines() -> None:
    assert len(blocks(PAGE, "python")) >= 6
    assert all(len(block.splitlines()) <= 10 for block in blocks(PAGE, "python"))


@pytest.mark.filterwarnings("ignore:.*training identities are unknown", "ignore:.*re-ranking. k1")
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    for name, text in files_of(PAGE).items():
        (tmp_path / name).write_text(text)
    names = run_snippets(PAGE)
    assert '"my_losses:CentreGap"' in (tmp_path / "runs" / "gap" / "metrics.jsonl").read_text()
    assert len(names["answer"].groups) == 3
    said = capsys.readouterr().out
    assert "sysu all infrared-to-visible single-shot official; k-reciprocal; rank-1" in said
    assert "people/visible/" in said
