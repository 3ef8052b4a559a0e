"""The thresholds of an evaluation, each for its own direction."""

from __future__ import annotations

import json
import os
from pathlib import Path

from vireid.evaluation.analysis import Analysis
from vireid.evaluation.calibration import OperatingPoint
from vireid.evaluation.records import DataRecord, EvaluationRecord, ResultRecord
from vireid.gallery.thresholds import score_thresholds
from vireid.types import FeatureKind, Modality


def results(visible: float, infrared: float, *kinds: FeatureKind, flip: bool = False, method: str = "cosine") -> str:
    """What `vireid evaluate` writes, as far as thresholds need it: of features not for retrieval other ones."""
    lines = [
        ResultRecord(
            name=f"{modality.across} {kind}", search="all", direction=modality.across, feature=kind, mean={},
            flip_averaging=flip, method=method,
        )
        for modality in Modality
        for kind in kinds
    ]  # fmt: skip
    analyses = {}
    for line in lines:
        score = {"visible-to-infrared": visible, "infrared-to-visible": infrared}[line.direction]
        point = OperatingPoint(score * (line.feature is not FeatureKind.BEFORE_BNNECK), 0.001, 0.5)
        analyses[line.name] = Analysis({}, (), {}, (), (), {0.001: point}, point, (point,)).to_dict()
    return json.dumps(EvaluationRecord(data=DataRecord("x"), results=tuple(lines), analyses=analyses).to_dict())


def test_each_direction_has_its_own_from_the_newest_evaluation_that_has_any(tmp_path: Path) -> None:
    assert score_thresholds(tmp_path, Modality.VISIBLE) == {}
    before, after = FeatureKind.BEFORE_BNNECK, FeatureKind.AFTER_BNNECK
    contents = [
        results(0.1, 0.2, before, after),
        results(0.5, 0.6, before, after),
        results(0.8, 0.9, before, after, flip=True),
        results(0.8, 0.9, before, after, method="k-reciprocal"),
        "no json",
        "[]",
        '{"results": [{}]}',
    ]
    for number, content in enumerate(contents):
        file = tmp_path / "evaluation" / str(number) / "results.json"
        file.parent.mkdir(parents=True)
        file.write_text(content)
        os.utime(file, (number, number))
    assert score_thresholds(tmp_path, Modality.VISIBLE) == {"0.001": 0.5}
    assert score_thresholds(tmp_path, Modality.INFRARED) == {"0.001": 0.6}


def test_those_of_a_model_from_elsewhere_are_of_what_it_returns(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(results(0.3, 0.4, FeatureKind.OUTPUT))
    assert score_thresholds(tmp_path, Modality.VISIBLE) == {"0.001": 0.3}
