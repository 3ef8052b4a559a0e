"""What docs/deploy.md says of a model of one's own is run as it is written."""

import re
from pathlib import Path

import onnx
import pytest

from tests.deploy.graphs import graph
from tests.gallery.galleries import colour_folder, picture
from tests.trees import write_folder
from vireid.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
SECTION = PAGE.split("## A model of your own")[1].split("\n## ")[0]


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTION, flags=re.DOTALL)
    return str(found)


@pytest.mark.filterwarnings("ignore:.*training identities are unknown")
def test_the_commands_and_the_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    write_folder(tmp_path / "people", ["a", "b", "c"], images=3, size=(48, 24))
    colour_folder(tmp_path / "day")
    (tmp_path / "night.png").write_bytes(picture((90, 90, 90)))
    onnx.save(graph(height=256, width=128), "osnet.onnx")
    Path("osnet.onnx.yaml").write_text(block("yaml"))
    Path("seen.py").write_text(block("python"))
    lines = [line.split() for line in block("bash").splitlines()]
    lines.append(["vireid", "embed", "seen:colours", "people", "features.npz"])
    for name, *words in lines:
        assert name == "vireid"
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code, words
    shown = capsys.readouterr().out
    assert "model output" in shown
    assert "{'folder infrared-to-visible': " in shown


def test_the_table_names_every_field_of_a_card() -> None:
    from dataclasses import fields

    from vireid.deploy.input_card import GraphCard

    named = {
        name for row in re.findall(r"^\| (`.*?) \|", SECTION, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == {field.name for field in fields(GraphCard)}
