"""Score thresholds for given false-match rates, from an evaluation of the model."""

from __future__ import annotations

from pathlib import Path

from vireid.evaluation.analysis import Analysis
from vireid.evaluation.records import EvaluationRecord, read_evaluation, select
from vireid.types import FeatureKind, Modality, VireidError


def score_thresholds(home: Path, modality: Modality) -> dict[str, float]:
    """Return false-match rate -> similarity from the newest evaluation of the model whose home this is.

    The keys are the rates as written in ``results.json`` (``0.001``): the share of comparisons of two different people
    that reach the similarity. ``modality`` is that of the query; the thresholds are for searches in the other modality,
    with the features for retrieval. Empty if no evaluation has any.
    """
    files = [*home.glob("evaluation/*/results.json"), *home.glob("results.json")]
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            found = _thresholds(read_evaluation(file), modality)
        except VireidError:
            continue  # not our file, or of an older version: search without thresholds
        if found:
            return found
    return {}


def _thresholds(record: EvaluationRecord, modality: Modality) -> dict[str, float]:
    for result in select(record.results, direction=modality.across, flip=False, method="cosine"):
        if result.feature is not FeatureKind.BEFORE_BNNECK and result.name in record.analyses:
            thresholds = Analysis.from_dict(record.analyses[result.name]).thresholds
            return {f"{rate:g}": point.threshold for rate, point in thresholds.items()}
    return {}
