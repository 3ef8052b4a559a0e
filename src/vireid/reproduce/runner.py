"""Training and evaluating the runs of a grid: one after another on a CPU, one at a time on each of several GPUs.

Every worker goes through the same list and takes the next run that is neither finished nor claimed by another process,
so two commands on one grid share its work just as two GPUs do.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.queues import SimpleQueue

import torch

from vireid.data.layouts import open_dataset
from vireid.reproduce.grid import Grid
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import evaluated, read_results
from vireid.reproduce.plan import claimed, is_trained
from vireid.training.run import train
from vireid.types import VireidError

Work = Callable[[Grid, Job, torch.device], None]
POLL_SECONDS = 2.0


def devices() -> list[torch.device]:
    """Return all GPUs, or the CPU if there is none."""
    return [torch.device("cuda", i) for i in range(torch.cuda.device_count())] or [torch.device("cpu")]


def run_grid(grid: Grid, jobs: Sequence[Job]) -> dict[str, str]:
    """Train and evaluate what is missing of ``jobs``; return when all are done, including those of other processes.

    A run that fails does not stop the others: its name is returned with the reason.

    Raises:
        VireidError: a process was ended from outside.
        KeyboardInterrupt: stopped by the user; the same call resumes.
    """
    return run_on(grid, jobs, devices(), train_and_evaluate)


def run_on(grid: Grid, jobs: Sequence[Job], places: Sequence[torch.device], work: Work) -> dict[str, str]:
    """Do as `run_grid` on given devices with a given function, which a spawned process must be able to import."""
    if len(places) == 1:
        return take_turns(grid, jobs, places[0], work)
    return _in_processes(grid, jobs, places, work)


def take_turns(grid: Grid, jobs: Sequence[Job], device: torch.device, work: Work) -> dict[str, str]:
    """Work on ``jobs`` until none is left, waiting for those claimed by other processes; return failures by name."""
    left, failures = list(jobs), dict[str, str]()
    while left:
        before = len(left)
        for job in tuple(left):
            with claimed(grid.folder(job)) as mine:
                if mine:
                    left.remove(job)
                    try:
                        work(grid, job, device)
                    except VireidError as error:
                        failures[job.name] = str(error)
                        print(f"{job.name}: {error}", file=sys.stderr)
        if left and len(left) == before:
            time.sleep(POLL_SECONDS)
    return failures


def train_and_evaluate(grid: Grid, job: Job, device: torch.device) -> None:
    """Complete one run: train it, resume its training, or only evaluate it."""
    folder = grid.folder(job)
    if not is_trained(folder):
        print(f"training {job.name}", file=sys.stderr)
        dataset = open_dataset(grid.data, job.trial or 1)
        train(job.recipe, dataset, folder, resume=True, device=device)
    if read_results(grid, job) is None:
        evaluated(grid, job, device)


def _in_processes(grid: Grid, jobs: Sequence[Job], places: Sequence[torch.device], work: Work) -> dict[str, str]:
    context = multiprocessing.get_context("spawn")
    answers: SimpleQueue[dict[str, str]] = context.SimpleQueue()
    workers = [context.Process(target=_worker, args=(grid, jobs, place, work, answers)) for place in places]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:  # the terminal interrupts the workers too; they save their state
        for worker in workers:
            worker.join()
        raise
    failures: dict[str, str] = {}
    while not answers.empty():
        failures |= answers.get()
    if dead := [worker.exitcode for worker in workers if worker.exitcode]:
        raise VireidError(f"a training process ended with status {dead[0]}; run the same command again to resume")
    return failures


def _worker(
    grid: Grid,
    jobs: Sequence[Job],
    place: torch.device,
    work: Work,
    answers: SimpleQueue[dict[str, str]],
) -> None:
    try:
        answers.put(take_turns(grid, jobs, place, work))
    except KeyboardInterrupt:
        sys.exit(130)
