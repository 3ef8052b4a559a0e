"""Details behind a result's averages: their uncertainty, camera pairs, and alarm thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vireid.evaluation.breakdown import Cell, breakdown
from vireid.evaluation.calibration import OperatingPoint, calibrate
from vireid.evaluation.protocols import Setting
from vireid.evaluation.ranked import rank_trial
from vireid.evaluation.records import read_record
from vireid.evaluation.results import Result
from vireid.types import Features

FALSE_MATCH_RATES = (1e-2, 1e-3, 1e-4)
"""False-match rates per comparison that thresholds are reported for."""


@dataclass(frozen=True)
class Analysis:
    """Beyond the averages of one result.

    ``intervals``: 95 % bootstrap intervals over identities of rank1 ... minp. ``worst_ranks``: per trial, the
    rank of every query's worst match, 0 where it has none. ``worst_quantiles``: as in `Result`. ``cameras``,
    ``modalities``: every pair of groups alone.
    ``thresholds``: operating points for each of FALSE_MATCH_RATES, the equal-error point and the DET curve,
    of cosine similarities.
    """

    intervals: dict[str, tuple[float, float]]
    worst_ranks: tuple[tuple[int, ...], ...]
    worst_quantiles: dict[str, float]
    cameras: tuple[Cell, ...]
    modalities: tuple[Cell, ...]
    thresholds: dict[float, OperatingPoint]
    equal_error: OperatingPoint
    det: tuple[OperatingPoint, ...]

    @classmethod
    def from_dict(cls, content: Any, place: str = "") -> Analysis:
        """Read what `to_dict` gave; `VireidError` beginning with ``place`` for anything else."""
        return read_record(cls, content, place)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types; the keys of ``thresholds`` become strings."""
        plain = asdict(self)
        plain["thresholds"] = {f"{rate:g}": point for rate, point in plain["thresholds"].items()}
        return plain


def analyse(features: Features, result: Result) -> Analysis:
    """Look behind a plain result (one ranked by cosine similarity).

    Args:
        features: those the result was made from.
        result: from `score_setting`, not pooled over RegDB splits, whose features differ.
    """
    setting: Setting = result.setting
    calibration = calibrate((rank_trial(features, trial) for trial in setting.trials), setting.rule)
    return Analysis(
        intervals=result.intervals,
        worst_ranks=tuple(tuple(scores.worst_rank.tolist()) for scores in result.trials),
        worst_quantiles=result.worst_quantiles,
        cameras=tuple(breakdown(features, setting, "camera")),
        modalities=tuple(breakdown(features, setting, "modality")),
        thresholds={rate: calibration.at_false_match_rate(rate) for rate in FALSE_MATCH_RATES},
        equal_error=calibration.equal_error(),
        det=tuple(calibration.det()),
    )
