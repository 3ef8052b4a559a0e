"""What the runs of a grid reached: results kept in the run folders, and their mean over the seeds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vireid.evaluation.records import EvaluationRecord, read_evaluation, select
from vireid.files import write_json
from vireid.reproduce.grid import Grid, Search
from vireid.reproduce.jobs import Job
from vireid.runs.evaluate import evaluate_models
from vireid.types import FeatureKind, VireidError

NUMBERS = {"r1": "rank1", "r10": "rank10", "r20": "rank20", "map": "map"}
"""The numbers of the paper's tables and what results call them."""


@dataclass(frozen=True)
class Value:
    """A number of a table, mostly in percent.

    ``std`` is the sample standard deviation over runs, None for one run or a printed number; ``paper`` the number that
    is printed for the same data set.
    """

    mean: float
    std: float | None = None
    paper: float | None = None


def results_path(grid: Grid, job: Job) -> Path:
    """Where the results of a run on the grid's data lie."""
    return grid.folder(job) / "evaluation" / grid.data.resolve().name / "results.json"


def evaluated(grid: Grid, job: Job, device: torch.device, progress: Callable[[int, int], None] | None = None) -> None:
    """Evaluate a finished run, plain and re-ranked, and keep the results in its folder."""
    start = time.perf_counter()
    found = evaluate_models(
        [grid.folder(job)], grid.data, trial=job.trial, beside=("k-reciprocal",), device=device, progress=progress
    )
    record = replace(found.record(), evaluation_seconds=time.perf_counter() - start)
    write_json(results_path(grid, job), record.to_dict())


def read_results(grid: Grid, job: Job) -> EvaluationRecord | None:
    """Return the kept evaluation of a run; None where there is none with re-ranking."""
    path = results_path(grid, job)
    record = read_evaluation(path) if path.is_file() else None
    return record if record and select(record.results, method="k-reciprocal") else None


def evaluation_seconds(grid: Grid, job: Job) -> float | None:
    """Return how long evaluating a run took; None where that was not kept."""
    path = results_path(grid, job)
    return read_evaluation(path).evaluation_seconds if path.is_file() else None


def values(grid: Grid, jobs: Sequence[Job], search: Search, method: str = "cosine") -> dict[str, Value]:
    """Return r1, r10, r20 and map of one variant: mean and deviation over its runs, in percent.

    Raises:
        VireidError: a run without results.
    """
    runs = [_one(grid, job, search, method) for job in jobs]
    return {name: _value([100 * run[key] for run in runs]) for name, key in NUMBERS.items()}


def _one(grid: Grid, job: Job, search: Search, method: str) -> dict[str, float]:
    record = read_results(grid, job)
    wanted = {"search": search.search, "direction": search.direction, "method": method}
    for result in select(record.results, feature=FeatureKind.AFTER_BNNECK, flip=False, **wanted) if record else ():
        if result.shots in (None, 1):
            return result.mean
    raise VireidError(f"{results_path(grid, job)}: no {search.title} results; delete the file to evaluate again")


def _value(numbers: list[float]) -> Value:
    return Value(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None)


def with_paper(
    found: dict[str, Value], printed: dict[str, Value | None] | None, columns: Iterable[str] | None = None
) -> dict[str, Value | None]:
    """Return measured numbers, of ``columns`` where given, with the printed ones beside them where there are any."""
    both: dict[str, Value | None] = {}
    for name in columns or found:
        paper = (printed or {}).get(name)
        both[name] = replace(found[name], paper=paper.mean) if paper else found[name]
    return both
