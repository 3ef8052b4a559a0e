"""Running `vireid reproduce`: plan, train what is missing, write the tables and figures."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vireid.files import atomic_path
from vireid.reproduce.ablation import Study, study_item
from vireid.reproduce.grid import STANDARD, Grid
from vireid.reproduce.index import RECORD, write_index
from vireid.reproduce.items import NAMES, Item, item, write_product
from vireid.reproduce.plan import Planned, make_plan, run_state
from vireid.reproduce.runner import run_grid
from vireid.reproduce.tables import ResultTable
from vireid.synthetic.standards import write_standard
from vireid.training.device import default_device, describe
from vireid.training.run import git_revision
from vireid.types import VireidError


@dataclass(frozen=True)
class Reproduction:
    """The requested tables and figures, and their common plan."""

    grid: Grid
    items: dict[str, Item]
    plan: tuple[Planned, ...]


def plan_reproduction(name: str, grid: Grid, study: Study | None = None) -> Reproduction:
    """Plan one table or figure, all of them, or a study.

    Raises:
        VireidError: an unknown name, or `make_plan` raises it.
    """
    chosen = {each: item(each) for each in (NAMES if name == "all" else (name,))} if study is None else {}
    if study is not None:
        chosen[study.name] = study_item(study)
    jobs = [job for one in chosen.values() for job in one.jobs(grid)]
    return Reproduction(grid, chosen, make_plan(grid, jobs))


def with_images(reproduction: Reproduction, progress: Callable[[int, int], None] | None = None) -> Reproduction:
    """Render the standard set if the plan was made without its images.

    Raises:
        VireidError: `write_standard` raises it, or a folder holds a run of other data.
    """
    if not reproduction.grid.dataset.rendered:
        return reproduction
    grid = replace(reproduction.grid)  # a new grid, which reads the files
    if grid.unrendered:
        write_standard(grid.data, STANDARD, progress)
    for planned in reproduction.plan:
        run_state(grid, planned.job)
    return replace(reproduction, grid=grid)


def reproduce(
    reproduction: Reproduction, command: Sequence[str], written: Callable[[Path, ResultTable], None] | None = None
) -> list[Path]:
    """Train what is missing, write every table and figure and the page of all that there are; return their folders.

    A failed run affects only the tables and figures that need it: all others are written before the error.

    Args:
        command: what was typed, recorded beside the results.
        written: called with the folder and the numbers of every table and figure.

    Raises:
        VireidError: runs failed (by folder and reason), or `run_grid`, `write_product` or `write_index` raises it.
    """
    grid = reproduction.grid
    failures = run_grid(grid, [planned.job for planned in reproduction.plan])
    lacking = [name for name, one in reproduction.items.items() if any(job.name in failures for job in one.jobs(grid))]
    folders = []
    for name, one in reproduction.items.items():
        if name in lacking:
            continue
        folder = grid.out / (f"{name}-quick" if grid.quick else name)
        product = one.make(grid)
        write_product(folder, product)
        with atomic_path(folder / RECORD) as path:
            path.write_text(record(grid, one, product.table.caption, command), encoding="utf-8")
        if written:
            written(folder, product.table)
        folders.append(folder)
    write_index(grid.out)
    if failures:
        raise VireidError(_told(grid, failures, lacking))
    return folders


def _told(grid: Grid, failures: dict[str, str], lacking: Sequence[str]) -> str:
    told = []
    for name, reason in failures.items():
        folder = str(grid.out / "runs" / name)
        told.append(reason if reason.startswith(f"{folder}:") else f"{folder}: {reason}")
    return f"{'; '.join(told)}; not written: {', '.join(lacking)}; fix this and run the same command again"


def record(grid: Grid, one: Item, caption: str, command: Sequence[str]) -> str:
    """Return what somebody needs to make the same table: command, versions, revision, machine; no path of this one."""
    words = [Path(word).name if word.startswith(("/", "~")) else word for word in command]
    lines = [
        f"caption: {caption}",
        f"command: {shlex.join(words)}",
        f"data: {grid.data_name}",
        f"recipe: {' '.join((Path(grid.recipe).stem, *grid.overrides))}{', quick' * grid.quick}",
        f"versions: vireid {git_revision() or 'installed package'}, torch {torch.__version__}, "
        f"python {platform.python_version()}",
        f"machine: {describe(default_device())}",
        f"seeds: {', '.join(str(k) for k in range(grid.seeds))}",
        "runs:",
        *(f"  {row}: {job.name}" for row, jobs in one.rows(grid).items() for job in jobs),
    ]
    return "\n".join(lines) + "\n"
