"""What a report puts first, and what it calls it."""

from __future__ import annotations

from vireid.evaluation.results import Result
from vireid.reporting.evaluate import Evaluation


def plain_results(evaluation: Evaluation) -> tuple[Result, ...]:
    """The results to look at first: one per published setting, the paper's feature, nothing added."""
    first: dict[str, Result] = {}
    for result in evaluation.results:
        if result.setting.search != "mixed":
            first.setdefault(result.setting.name, result)
    return tuple(first.values())


def direction_name(result: Result) -> str:
    """How a reader calls a setting: search mode and direction."""
    search = {"whole": "", "all": "All search, ", "indoor": "Indoor search, "}[result.setting.search]
    name = result.setting.direction.replace("-to-", " to ")
    return f"{search}{name}" if search else name.capitalize()
