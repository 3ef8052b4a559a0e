"""Score thresholds for given false-match rates, from an evaluation of the model."""

from __future__ import annotations

import json
from pathlib import Path

from vireid.types import Modality


def score_thresholds(folder: Path, modality: Modality) -> dict[str, float]:
    """Return false-match rate -> similarity from the newest evaluation of the model in ``folder``.

    The keys are the rates as written in ``results.json`` (``0.001``): the share of comparisons of two different people
    that reach the similarity. ``modality`` is that of the query; the thresholds are for searches in the other modality,
    with the features after the BNNeck. Empty if no evaluation has any.
    """
    files = [*folder.glob("evaluation/*/results.json"), *folder.glob("results.json")]
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            found = _thresholds(json.loads(file.read_text()), modality)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # not our file, or of an older version: search without thresholds
        if found:
            return found
    return {}


def _thresholds(content: dict[str, object], modality: Modality) -> dict[str, float]:
    results, analyses = content["results"], content["analyses"]
    assert isinstance(results, list)
    assert isinstance(analyses, dict)
    for result in results:
        wanted = (f"{modality}-to-{modality.other}", "after BNNeck", False)
        if (result["direction"], result["feature"], result["flip_averaging"]) == wanted and result["name"] in analyses:
            points = analyses[result["name"]]["thresholds"]
            return {str(rate): float(point["threshold"]) for rate, point in points.items()}
    return {}
