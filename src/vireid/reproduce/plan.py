"""The plan of a grid: which runs are finished, which are left, and how long these will take."""

from __future__ import annotations

import fcntl
import json
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vireid.build import new_network
from vireid.config import Recipe
from vireid.data.sampler import make_sampler
from vireid.files import read_json
from vireid.models.cost import count_macs
from vireid.recipes import parse_recipe
from vireid.reproduce.grid import Grid
from vireid.reproduce.jobs import Job, leaves, settings
from vireid.reproduce.measured import evaluation_seconds, read_results
from vireid.reproduce.timing import images_shown, seconds_per_step
from vireid.training.checkpoint import MODEL, RUN, STATE, checkpoints
from vireid.training.split import require_modalities, split_training
from vireid.types import VireidError

State = Literal["finished", "running", "interrupted", "to train", "to evaluate"]


@dataclass(frozen=True)
class Planned:
    """A run with its state, its remaining batches, and the expected seconds of these and its evaluation."""

    job: Job
    state: State
    steps: int
    seconds: float


def make_plan(grid: Grid, jobs: Sequence[Job]) -> tuple[Planned, ...]:
    """Return the distinct runs of ``jobs`` with their states, first seeds first.

    The expected time of a batch is that of finished runs with the same network and input; without such runs it follows
    from the operations per batch, at the speed of the grid's other runs or of a few batches timed now. An evaluation
    takes the mean time of the evaluations so far, and nothing before the first.

    Raises:
        VireidError: the grid does not fit the data, or a folder holds a run of another recipe or data set.
    """
    distinct = sorted({job.name: job for job in jobs}.values(), key=lambda job: job.seed)
    lengths = {job.name: _steps(grid, job) for job in distinct}
    states = {job.name: run_state(grid, job) for job in distinct}
    finished = [job for job in distinct if states[job.name] == "finished"]
    times = [seconds for job in finished if (seconds := evaluation_seconds(grid, job)) is not None]
    evaluation = statistics.fmean(times) if times else 0.0
    left = {j.name: 0 if is_trained(grid.folder(j)) else lengths[j.name] - _done(grid.folder(j)) for j in distinct}
    paces = _paces(distinct, left, _measured(grid, distinct, lengths))
    planned = []
    for job in distinct:
        steps = left[job.name]
        seconds = (steps * paces[_cost_key(job)] if steps else 0) + (0 if job in finished else evaluation)
        planned.append(Planned(job, states[job.name], steps, seconds))
    return tuple(planned)


def run_state(grid: Grid, job: Job) -> State:
    """Return the state of a run.

    Raises:
        VireidError: its folder holds a run of another recipe, trial or data set.
    """
    folder = grid.folder(job)
    if (folder / RUN).exists():
        _require_same(grid, job, read_json(folder / RUN, "a run.json that vireid train wrote"))
    if is_trained(folder) and read_results(grid, job) is not None:
        return "finished"
    if _is_claimed(folder):
        return "running"
    if is_trained(folder):
        return "to evaluate"
    return "interrupted" if (folder / RUN).exists() else "to train"


def is_trained(folder: Path) -> bool:
    """Return whether a run has been trained to its end."""
    return (folder / MODEL).is_file() and (folder / RUN).is_file()


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Claim a run folder while working on it; yield False if another process holds the claim.

    The claim is released when the process ends, however it ends.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _is_claimed(folder: Path) -> bool:
    try:
        with _lock(folder).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:  # no process has worked on it yet, and planning leaves no trace
        return False
    except BlockingIOError:
        return True
    return False


def _lock(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.lock"


def _require_same(grid: Grid, job: Job, info: dict[str, Any]) -> None:
    folder = grid.folder(job)
    old = leaves(settings(parse_recipe(info.get("recipe") or {}, f"{folder / RUN}: recipe")))
    new = leaves(settings(job.recipe))
    facts: list[tuple[str, Any, Any]] = [("trial", info.get("trial"), job.trial)]
    if not grid.dataset.rendered:  # else there are no files to compare
        facts.append(("data", info.get("fingerprint"), grid.fingerprint))
    for name, was, now in [(name, old.get(name), new.get(name)) for name in old | new] + facts:
        if was != now:
            raise VireidError(
                f"{folder}: holds a run whose {name} was {str(was)[:40]} and is now {str(now)[:40]}; delete the "
                "folder to train it again, or give another --out"
            )


def _steps(grid: Grid, job: Job) -> int:
    data = job.recipe.data
    setup = job.recipe.training
    samples, _ = split_training(grid.dataset, data.holdout, setup.validation, setup.seed)
    require_modalities(grid.dataset, samples, job.recipe.loss)
    try:
        sampler = make_sampler(data, [s.identity for s in samples], [s.modality for s in samples], setup.seed)
    except VireidError as error:
        raise VireidError(
            f"{grid.data}: does not fit recipe {grid.recipe}: {error} (set data.identities=N or data.images=N)"
        ) from None
    return len(sampler) * job.recipe.schedule.epochs


def _done(folder: Path) -> int:
    saved = checkpoints(folder)
    try:
        return int(json.loads((saved[-1] / STATE).read_text())["step"]) if saved else 0
    except (OSError, ValueError, KeyError):  # being replaced, or broken: training reports it
        return 0


def _measured(grid: Grid, jobs: Sequence[Job], lengths: dict[str, int]) -> dict[str, float]:
    """Return seconds per batch of the finished runs, by cost."""
    found: dict[str, list[float]] = {}
    for job in jobs:
        folder = grid.folder(job)
        if is_trained(folder):
            seconds = read_json(folder / RUN, "a run.json that vireid train wrote").get("training_seconds")
            if isinstance(seconds, int | float):
                found.setdefault(_cost_key(job), []).append(seconds / lengths[job.name])
    return {key: sum(paces) / len(paces) for key, paces in found.items()}


def _paces(jobs: Sequence[Job], left: dict[str, int], known: dict[str, float]) -> dict[str, float]:
    """Return seconds per batch of all runs with batches left, by cost; if unknown, estimated from the operations."""
    recipes = {_cost_key(job): job.recipe for job in jobs}
    unknown = [key for key in dict.fromkeys(_cost_key(job) for job in jobs if left[job.name]) if key not in known]
    if not unknown:
        return known
    known = known or {unknown[0]: seconds_per_step(recipes[unknown[0]])}
    pace = statistics.fmean(seconds / _operations(recipes[key]) for key, seconds in known.items())
    return {key: pace * _operations(recipes[key]) for key in unknown} | known


def _operations(recipe: Recipe) -> float:
    """Return the operations of a batch, up to a factor that all recipes share."""
    data = recipe.data
    network = new_network(recipe.model, classes=1, size=data.size)
    return count_macs(network, *data.size)[0] * data.identities * data.images * images_shown(recipe)


def _cost_key(job: Job) -> str:
    """Return a key of everything that the time of a batch depends on."""
    data, model = job.recipe.data, job.recipe.model
    size = (data.height, data.width, data.identities, data.images, data.joint)
    weakened = len(model.weakening.after)
    return repr((size, model.backbone, model.options, model.base_width, model.branches, weakened, model.methods))
