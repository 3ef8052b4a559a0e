"""Measured results of a grid: those kept in the run folders, and their means over the seeds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vireid.evaluation.metrics import NUMBERS as METRICS
from vireid.evaluation.records import EvaluationRecord, ResultRecord, read_evaluation, select
from vireid.evaluation.results import Result
from vireid.evaluation.uncertainty import identity_sums
from vireid.files import write_json
from vireid.layouts import Search
from vireid.reproduce.grid import Grid
from vireid.reproduce.jobs import Job
from vireid.runs.evaluation import evaluate
from vireid.types import FeatureKind, VireidError

NUMBERS = {"r1": "rank1", "r10": "rank10", "r20": "rank20", "map": "map"}
"""The numbers of the paper's tables and what results call them."""


@dataclass(frozen=True)
class Value:
    """A number in a table, mostly in percent.

    ``std`` is the sample standard deviation over runs, None for one run or a printed number; ``paper`` is the printed
    number for the same data set.
    """

    mean: float
    std: float | None = None
    paper: float | None = None


def results_path(grid: Grid, job: Job) -> Path:
    """Return the path of a run's results on the grid's data."""
    file = f"results-{grid.gallery}.json" if grid.gallery else "results.json"
    return grid.folder(job) / "evaluation" / grid.data.resolve().name / file


def evaluated(grid: Grid, job: Job, device: torch.device, progress: Callable[[int, int], None] | None = None) -> None:
    """Evaluate a finished run, plain and re-ranked, and keep the results in its folder."""
    start = time.perf_counter()
    found = evaluate(
        [grid.folder(job)],
        grid.data,
        trial=job.trial,
        gallery=grid.gallery,
        beside=("k-reciprocal",),
        device=device,
        progress=progress,
    )
    plain = {result.setting.name: result for result in reversed(found.results)}  # the first of each setting
    sums = {name: _sums(result) for name, result in plain.items()}
    record = replace(found.record(), identities=sums, evaluation_seconds=time.perf_counter() - start)
    write_json(results_path(grid, job), record.to_dict())


def read_results(grid: Grid, job: Job) -> EvaluationRecord | None:
    """Return the kept evaluation of a run; None where there is none with re-ranking and the sums by identity."""
    path = results_path(grid, job)
    record = read_evaluation(path) if path.is_file() else None
    if record is None or record.identities is None:
        return None
    return record if select(record.results, method="k-reciprocal") else None


def read_identities(grid: Grid, job: Job, search: Search) -> npt.NDArray[np.float64]:
    """Return (identities, 1 + numbers) of a run's plain results: valid queries and sums over them, see `NUMBERS`.

    Raises:
        VireidError: no results of this search.
    """
    record, result = _one(grid, job, search, "cosine")
    return np.array((record.identities or {})[result.name], dtype=np.float64)


def evaluation_seconds(grid: Grid, job: Job) -> float | None:
    """Return the seconds that evaluating a run took; None if they were not recorded."""
    path = results_path(grid, job)
    return read_evaluation(path).evaluation_seconds if path.is_file() else None


def values(grid: Grid, jobs: Sequence[Job], search: Search, method: str = "cosine") -> dict[str, Value]:
    """Return r1, r10, r20 and map of one variant: mean and deviation over its runs, in percent.

    Raises:
        VireidError: a run without results.
    """
    runs = [_one(grid, job, search, method)[1].mean for job in jobs]
    return {name: _value([100 * run[key] for run in runs]) for name, key in NUMBERS.items()}


def _sums(result: Result) -> tuple[tuple[float, ...], ...]:
    sums, counts = identity_sums(result.trials)
    columns = [sums[:, METRICS.index(key)] for key in NUMBERS.values()]
    rows: list[list[float]] = torch.stack([counts, *columns], dim=1).tolist()
    return tuple(map(tuple, rows))


def _one(grid: Grid, job: Job, search: Search, method: str) -> tuple[EvaluationRecord, ResultRecord]:
    record = read_results(grid, job)
    wanted = {"search": search.name, "direction": search.direction, "method": method}
    for result in select(record.results, feature=FeatureKind.AFTER_BNNECK, flip=False, **wanted) if record else ():
        if record and result.shots in (None, 1):
            return record, result
    raise VireidError(f"{results_path(grid, job)}: no {search.title} results; delete the file to evaluate again")


def _value(numbers: list[float]) -> Value:
    return Value(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None)


def with_paper(
    found: dict[str, Value], printed: dict[str, Value | None] | None, columns: Iterable[str] | None = None
) -> dict[str, Value | None]:
    """Return measured numbers (of ``columns``, if given) with the printed ones, if any, beside them."""
    both: dict[str, Value | None] = {}
    for name in columns or found:
        paper = (printed or {}).get(name)
        both[name] = replace(found[name], paper=paper.mean) if paper else found[name]
    return both
