"""What an evaluation adds beside the plain results reaches both files."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
import torch

from tests.tiny import tiny_run
from tests.trees import write_folder
from vireid.evaluation.ranked import RankingMethod
from vireid.report.evaluation import write_evaluation
from vireid.runs.evaluation import evaluate

METHODS: tuple[RankingMethod, ...] = get_args(RankingMethod)


@pytest.mark.filterwarnings("ignore:re-ranking", "ignore:camera correction")
def test_other_ways_of_ranking_stand_beside_the_plain_result(tmp_path: Path) -> None:
    run = tiny_run(tmp_path, "schedule.epochs=1")
    root = tmp_path / "other"
    write_folder(root, ["a", "b", "c"], images=3, size=(48, 32))
    cache, device = tmp_path / "cache", torch.device("cpu")
    plain = evaluate([run], root, cache=cache, device=device)
    evaluation = evaluate([run], root, beside=METHODS[1:], cache=cache, device=device)
    results, page = write_evaluation(evaluation, tmp_path / "out")
    lines = json.loads(results.read_text())["results"]
    text = re.sub(r"<[^>]+>", " ", page.read_text())
    for method in METHODS:
        found = [line for line in lines if line["method"] == method and line["search"] != "mixed"]
        assert len(found) == 4  # two directions, two features
        assert f"{100 * found[0]['mean']['map']:.2f}" in text
        assert (f"{method} is on" in text) == (method != "cosine")
    assert [line for line in lines if line["method"] == "cosine"] == [r.to_dict() for r in plain.results]
