"""Standard sets: the same bytes for everybody, or an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.rendered import digests, small
from vireid.cli import main
from vireid.data.check import check
from vireid.synthetic import standards, write_tree
from vireid.synthetic.standards import Standard, record_standard, write_standard
from vireid.types import VireidError


def test_a_standard_set_takes_no_other_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "render", str(tmp_path / "set"), "--standard", "synvi-1", "--ids", "4"])
    assert ended.value.code == 2
    assert "standard: decides everything but the folder" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_shipped_standards_are_of_this_version() -> None:
    assert standards.standards() == ["synvi-1"]
    found = standards.standard("synvi-1")
    assert standards.standard_of(found.settings.record()) == found
    assert len(found.checksum) == 64
    with pytest.raises(VireidError, match="standard: expected synvi-1, got synvi-9"):
        standards.standard("synvi-9")


def test_a_standard_set_is_verified_when_written_and_when_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path / "first", small())
    record_standard(tmp_path / "tiny.json", tmp_path / "first", small())
    recorded = json.loads((tmp_path / "tiny.json").read_text())
    assert recorded["settings"] == small().record()
    tiny = Standard("tiny", small(), recorded["checksum"])
    lines = sorted(f"{d}  {name}\n" for name, d in digests(tmp_path / "first").items() if name != "synthetic.json")
    assert tiny.checksum == hashlib.sha256("".join(lines).encode()).hexdigest()
    monkeypatch.setattr(standards, "standards", lambda: ["tiny"])
    monkeypatch.setattr(standards, "standard", lambda name: tiny)
    write_standard(tmp_path / "set", "tiny")
    report = check(tmp_path / "set")
    assert report.ok
    assert "this is tiny: its listing has the recorded checksum" in report.notes
    image = tmp_path / "set" / "cam1" / "0001" / "0001.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    (problem,) = check(tmp_path / "set").problems
    assert problem.kind == "mislabelled"
    assert "has the settings of tiny, but different files" in problem.what
    tiny = Standard("tiny", small(), "0" * 64)
    with pytest.raises(VireidError, match="written, but differs from tiny"):
        write_standard(tmp_path / "other", "tiny")
    assert (tmp_path / "other" / "synthetic.json").exists()
