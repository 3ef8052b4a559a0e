"""The thresholds of an evaluation, each for its own direction."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from vireid.gallery.thresholds import score_thresholds
from vireid.types import Modality


def results(visible: float, infrared: float, **more: Any) -> str:
    """What `vireid evaluate` writes, as far as thresholds need it."""
    settings = [
        {"name": f"{direction}{feature}", "direction": direction, "feature": feature, "flip_averaging": False} | more
        for direction in ("visible-to-infrared", "infrared-to-visible")
        for feature in ("before BNNeck", "after BNNeck")
    ]
    found = {"visible-to-infrared": visible, "infrared-to-visible": infrared}
    analyses = {
        one["name"]: {"thresholds": {"0.001": {"threshold": found[one["direction"]] * ("after" in one["feature"])}}}
        for one in settings
    }
    return json.dumps({"results": settings, "analyses": analyses})


def test_each_direction_has_its_own_from_the_newest_evaluation_that_has_any(tmp_path: Path) -> None:
    assert score_thresholds(tmp_path, Modality.VISIBLE) == {}
    contents = [results(0.1, 0.2), results(0.5, 0.6), results(0.8, 0.9, flip_averaging=True), "no json", "[]"]
    for number, content in enumerate(contents):
        file = tmp_path / "evaluation" / str(number) / "results.json"
        file.parent.mkdir(parents=True)
        file.write_text(content)
        os.utime(file, (number, number))
    assert score_thresholds(tmp_path, Modality.VISIBLE) == {"0.001": 0.5}
    assert score_thresholds(tmp_path, Modality.INFRARED) == {"0.001": 0.6}
