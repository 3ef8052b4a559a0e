"""Results come back from their file as they were, older files too, and what is no results file is refused."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation import datasets
from vireid.evaluation import Facts, score_setting, settings_for
from vireid.evaluation.analysis import Analysis, analyse
from vireid.evaluation.records import DataRecord, EvaluationRecord, ModelRecord, ResultRecord, read_evaluation, select
from vireid.types import FeatureKind, VireidError

DATA = datasets.sysu()
FEATURES = datasets.features(DATA, noise=2.0)
KINDS = (FeatureKind.AFTER_BNNECK, FeatureKind.BEFORE_BNNECK)
RESULTS = [
    score_setting(FEATURES, setting, method=method, facts=Facts(kind, flip))
    for setting, kind, flip, method in itertools.product(
        settings_for(DATA)[:2], KINDS, (False, True), ("cosine", "k-reciprocal")
    )
]
ANALYSIS = analyse(FEATURES, RESULTS[0])
RECORD = EvaluationRecord(
    vireid="0.1.0",
    data=DataRecord("people", "sysu"),
    runs=(ModelRecord("run", "fp32", "CPU", "sysu", None, 0, None, {"torch": "2.6"}),),
    results=tuple(result.record() for result in RESULTS),
    analyses={RESULTS[0].setting.name: ANALYSIS.to_dict()},
)


@pytest.fixture
def content() -> dict[str, Any]:
    return json.loads(json.dumps(RECORD.to_dict()))  # type: ignore[no-any-return]


def test_everything_comes_back(content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(content))
    found = read_evaluation(tmp_path / "results.json")
    assert found == EvaluationRecord.from_dict(content)
    assert found.results == RECORD.results
    assert found.results[0].mean == RESULTS[0].mean
    assert found.results[0].per_trial == RESULTS[0].per_trial
    assert found.results[0].feature is FeatureKind.AFTER_BNNECK
    assert found.to_dict() == content
    assert Analysis.from_dict(found.analyses[RESULTS[0].setting.name]) == ANALYSIS


def test_an_older_file_has_the_defaults_and_a_newer_ones_fields_are_left_out(content: dict[str, Any]) -> None:
    old = {
        "data": {"name": "people"},
        "results": [
            {k: content["results"][0][k] for k in ("name", "search", "direction", "feature", "flip_averaging", "mean")}
        ],
    }
    found = EvaluationRecord.from_dict(old).results[0]
    assert (found.method, found.checkpoint_rule, found.shots, found.warnings) == ("cosine", "unknown", None, ())
    assert found.mean == RESULTS[0].mean
    newer = content | {"more": [1], "results": [line | {"more": {}} for line in content["results"]]}
    assert EvaluationRecord.from_dict(newer).to_dict() == content


@pytest.mark.parametrize("source", [RESULTS, RECORD.results])
def test_select_is_a_loop_with_comparisons(source: Any) -> None:
    directions, searches = {r.direction for r in source}, {r.search for r in source}
    for direction, search, feature, flip, method in itertools.product(
        (None, *directions), (None, *searches), (None, *KINDS), (None, True, False), (None, "cosine", "k-reciprocal")
    ):
        wanted = []
        for result in source:
            if direction is not None and result.direction != direction:
                continue
            if search is not None and result.search != search:
                continue
            if feature is not None and result.feature is not feature:
                continue
            if flip is not None and result.flip_averaging is not flip:
                continue
            if method is None or result.method == method:
                wanted.append(result)
        found = select(source, direction=direction, search=search, feature=feature, flip=flip, method=method)
        assert [id(r) for r in found] == [id(r) for r in wanted]
    assert len(select(source)) == 16
    assert select(source, direction="sideways") == ()


def _line(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["results"][1].update(values)


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["results"][1].pop(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content.pop("results"), "results: missing"),
        (lambda content: content.update(results={}), "results: expected a list, got an object of 0"),
        (lambda content: content.update(results=[3]), "results.0: expected an object, got 3"),
        (lambda content: content.update(data=None), "data: expected an object, got None"),
        (lambda content: content.update(runs=[{}]), "runs.0.name: missing"),
        (lambda content: content.update(analyses={"a": 1}), "analyses.a: expected an object, got 1"),
        (lambda content: content.update(evaluation_seconds="1"), "evaluation_seconds: expected a number, got '1'"),
        (_without("mean"), "results.1.mean: missing"),
        (_line(mean={"rank1": "1"}), "results.1.mean.rank1: expected a number, got '1'"),
        (_line(mean={"rank1": True}), "results.1.mean.rank1: expected a number, got True"),
        (_line(mean={"rank1": float("nan")}), "results.1.mean.rank1: expected a number, got nan"),
        (_line(mean={"rank1": 10**400}), "results.1.mean.rank1: expected a number"),
        (_line(mean={"a\nb": None}), "results.1.mean.a?b: expected a number, got None"),
        (
            _line(feature="after"),
            "expected after BNNeck or before BNNeck or model output, got 'after'",
        ),
        (_line(feature=["after BNNeck"]), "got a list of 1"),
        (_line(flip_averaging=0), "results.1.flip_averaging: expected true or false, got 0"),
        (_line(trials=1.0), "results.1.trials: expected a whole number, got 1.0"),
        (_line(trials=True), "results.1.trials: expected a whole number, got True"),
        (_line(name="x" * 10**6 + "\n", search=1), "results.1.search: expected text, got 1"),
        (_line(cmc=["y" * 10**6 + "\n"]), "results.1.cmc.0: expected a number, got 'yyy"),
        (_line(intervals={"map": [0.1]}), "results.1.intervals.map: expected a list, got a list of 1"),
        (_line(per_trial=[{"rank1": 1}]), "results.1.per_trial.0.rank5: missing"),
    ],
)
def test_what_is_no_results_file_is_refused_in_one_line(
    content: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    change(content)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    with pytest.raises(VireidError) as error:
        read_evaluation(path)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", "9" * 5000, "\x00"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(VireidError, match="expected results of vireid evaluate"):
        read_evaluation(tmp_path / "results.json")


def test_an_analysis_is_refused_where_its_thresholds_have_no_rates() -> None:
    broken = copy.deepcopy(ANALYSIS.to_dict())
    broken["thresholds"] = {"many": broken["equal_error"]}
    with pytest.raises(VireidError, match="thresholds: expected numbers as names, got 'many'"):
        Analysis.from_dict(json.loads(json.dumps(broken)))


def test_one_line_is_a_record_of_its_own() -> None:
    line = RESULTS[3].to_dict()
    assert ResultRecord.from_dict(json.loads(json.dumps(line))).to_dict() == line
