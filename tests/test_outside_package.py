"""A package that pip installed adds a method, losses and a backbone, by entry point and by package.module:Class.

tests/outside_package/ is the package: other kinds of plug-ins are added there, with a test of their own here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import OVERRIDES
from tests.trees import write_folder

ROOT = Path(__file__).parents[1]
DRIVER = """
import sys

from vireid.cli import main

for words in {commands}:
    print("$", *words, flush=True)
    try:
        main(words)
    except SystemExit as stop:
        print("exit", stop.code, flush=True)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the outside package."""
    folder = tmp_path_factory.mktemp("outside")
    shutil.copytree(ROOT / "tests" / "outside_package", folder / "source")  # pip builds in it
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--target", str(folder / "site")]
    subprocess.run([*pip, *offline, str(folder / "source")], check=True, timeout=120)
    return folder / "site"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small data set, ``set``."""
    folder = tmp_path_factory.mktemp("work")
    write_folder(folder / "set", [f"p{i}" for i in range(6)], images=2, size=(48, 32))
    return folder


def run(site: Path, work: Path, *commands: list[str], **environment: str) -> list[str]:
    """Run vireid's commands in one process beside the installed package and return what each said."""
    path = os.pathsep.join([str(ROOT / "src"), str(site)])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER.format(commands=list(commands))],
        cwd=work,
        env={**os.environ, "PYTHONPATH": path, "VIREID_CACHE": str(work / "cache"), "OMP_NUM_THREADS": "1"}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    said = done.stdout.split("\n$ ")
    assert len(said) == len(commands), done.stdout
    return said


def train(out: str, *overrides: str) -> list[str]:
    return ["train", "--recipe", "regdb-dfw", "--data", "set", "--out", out, *OVERRIDES, *overrides]


def metrics(run: Path) -> list[dict[str, Any]]:
    """Lines of batches; others are of the method's health."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "total" in line]


def test_names_and_references_train_the_same(site: Path, work: Path) -> None:
    named = ["model.methods.gain_noise.scale=0.3", "loss.centre={weight: 0.1, dimension: 128}"]
    referred = [
        "model.methods.outside.methods:GainNoise.scale=0.3",
        "loss.outside.losses:Centre={weight: 0.1, dimension: 128}",
    ]
    commands = [train("named", *named), train("referred", *referred), train("plain")]
    said = run(site, work, *commands, ["evaluate", "referred", "--data", "set"])
    assert all(words.endswith("exit 0") for words in map(str.rstrip, said)), said
    renamed = {"centre": "outside.losses:Centre"}
    named_lines, referred_lines, plain = (metrics(work / name) for name in ("named", "referred", "plain"))
    assert len(named_lines) > 1
    for mine, theirs, without in zip(named_lines, referred_lines, plain, strict=True):
        mine = {renamed.get(name, name): value for name, value in mine.items()}
        assert {**mine, "images_per_second": 0} == {**theirs, "images_per_second": 0}
        assert mine["total"] != without["total"]
        assert "centre" not in without
    assert json.loads((work / "named" / "run.json").read_text())["recipe"]["loss"]["centre"]["weight"] == 0.1


def test_a_run_folder_names_outside_code_only_where_it_is_installed_or_trusted(site: Path, work: Path) -> None:
    (said,) = run(site, work, train("confident", "loss.outside.losses:Confidence.weight=0.5"))
    assert "Next: VIREID_TRUST=outside vireid evaluate confident --data set" in said
    assert "outside.losses:Confidence" in metrics(work / "confident")[0]
    evaluate = ["evaluate", "confident", "--data", "set"]
    (refused,) = run(site, work, evaluate)
    assert refused.splitlines()[1:] == [
        "vireid: confident/run.json: recipe: loss: outside.losses:Confidence is code that no installed package offers, "
        "and a run folder may not name it; if you trust it, set VIREID_TRUST=outside or install a package that has it "
        "as an entry point of vireid.losses",
        "exit 2",
    ]
    (trusted,) = run(site, work, evaluate, VIREID_TRUST="outside")
    assert trusted.rstrip().endswith("exit 0")


def test_a_backbone_is_found_by_name_and_by_reference(site: Path, work: Path) -> None:
    common = ["model.base_width=64", "model.options.width=6"]
    backbones = {"by-name": "shrinking", "by-reference": "outside.backbones:Shrinking"}
    commands = [train(out, f"model.backbone={backbone}", *common) for out, backbone in backbones.items()]
    said = run(site, work, *commands, ["evaluate", "by-reference", "--data", "set"])
    assert all(words.endswith("exit 0") for words in map(str.rstrip, said)), said
    named, referred = (metrics(work / out) for out in backbones)
    assert [line["total"] for line in named] == [line["total"] for line in referred]
    assert (work / "by-name" / "model.safetensors").stat().st_size < 100_000


BAD = {
    "model.backbone=shrinkin": r"model.backbone: unknown backbone shrinkin; expected one of .*did you mean shrinking\?",
    "model.backbone=outside.methods:GainNoise": r".* is a class derived from Method; expected a class derived from .*",
    "model.methods.gain_nois={}": r"model.methods.gain_nois: unknown method gain_nois; .* did you mean gain_noise\?",
    "model.methods.gain_noise.scale=2": r"model.methods.gain_noise.scale=2: input should be less than or equal to 1",
    "loss.centr.weight=1": r"recipe regdb-dfw: unknown field loss.centr; the nearest field is loss.*",
    "loss.centre.weight=1": r"loss.centre.dimension: missing; give this option a value",
    "loss.centre={dimension: 1, siz: 2}": r"loss.centre.siz: unknown option; expected one of dimension",
    "loss.centre={dimension: 1, weight: -2}": r"loss.centre.weight=-2: input should be greater than or equal to 0",
    "loss.outside.losses:Centr.weight=1": r".*: outside.losses has no Centr; .*; did you mean Centre\?",
    "loss.outside.methods:GainNoise.weight=1": r".* is a class derived from Method; expected a torch.nn.Module .*",
    "loss.no_such:Module.weight=1": r".*: cannot import no_such \(ModuleNotFoundError: No module named 'no_such'\); .*",
}


def test_bad_input_is_one_line(site: Path, work: Path) -> None:
    said = run(site, work, *(train(f"bad-{number}", override) for number, override in enumerate(BAD)))
    for message, answer in zip(BAD.values(), said, strict=True):
        _, line, status = answer.splitlines()
        assert status == "exit 2"
        assert re.fullmatch(f"vireid: {message}", line), line
    assert not list(work.glob("bad-*"))
