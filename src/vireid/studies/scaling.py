"""`vireid scale`: the cost of a search as the gallery and its number of identities grow, measured on random features.

Every measurement runs in its own process, whose peak memory is then that of one stage and one size.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vireid.evaluation import RULES, Labels, score_queries
from vireid.figures.style import DASHES, PAGE_WIDTH, PALETTE, drawing, new_figure, write_figure
from vireid.files import atomic_path, read_json, write_json
from vireid.machine import peak_memory
from vireid.retrieval import KReciprocalRanking, nearest
from vireid.retrieval.ranking import CosineRanking
from vireid.types import VireidError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
IMAGES = (4, 20, 100, 500)
"""Gallery images per identity; the number of identities is the gallery size divided by this."""
USUAL_IMAGES = 20
DIMENSIONS = 2048
QUERIES = 500
STAGES = {
    "rank": "the 20 nearest",
    "score": "rank all, CMC, mAP, mINP",
    "re-rank": "k-reciprocal, rank all",
}


@dataclass(frozen=True)
class Measurement:
    """One measurement: ``seconds`` of a ``stage`` for all ``queries``; ``peak`` is the peak memory of its process,
    ``before`` the peak once libraries and vectors were loaded, both in GiB."""

    stage: str
    gallery: int
    identities: int
    queries: int
    dimensions: int
    threads: int
    seconds: float
    before: float
    peak: float


def plan(sizes: Sequence[int], largest: int) -> list[tuple[str, int, int]]:
    """Return (stage, gallery, identities): every size with `USUAL_IMAGES` images each, and the largest size with every
    number of `IMAGES`.

    Raises:
        VireidError: no size at or below ``largest``, or a size below 1,000.
    """
    kept = sorted({size for size in sizes if size <= largest})
    if not kept or kept[0] < min(SIZES):
        raise VireidError(
            f"scale: expected gallery sizes of {min(SIZES)} to the largest, {largest}, got {', '.join(map(str, sizes))}"
        )
    cases = [(size, size // USUAL_IMAGES) for size in kept]
    cases += [(kept[-1], kept[-1] // images) for images in IMAGES if images != USUAL_IMAGES]
    return [(stage, size, identities) for size, identities in cases for stage in STAGES]


def measure_all(
    cases: Sequence[tuple[str, int, int]], cells: Path, progress: Callable[[int, int], None] | None = None
) -> list[Measurement]:
    """Measure the cases of `plan`, one process after the other; results in the folder ``cells`` are not measured again.

    Raises:
        VireidError: a process failed, mostly for lack of memory, or a saved result is invalid.
    """
    found = []
    for stage, size, identities in cases:
        path = cells / f"{stage}-{size}-{identities}.json"
        if not path.exists():
            write_json(path, in_own_process(stage, size, identities))
        kept = read_json(path, "a result of vireid scale; delete it")
        if set(kept) != {field.name for field in fields(Measurement)}:
            raise VireidError(f"{path}: expected a result of vireid scale; delete it")
        found.append(Measurement(**kept))
        if progress:
            progress(len(found), len(cases))
    return found


def in_own_process(stage: str, size: int, identities: int) -> dict[str, Any]:
    """Run `measure` in its own process."""
    command = [sys.executable, "-m", "vireid.studies.scaling", stage, str(size), str(identities)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [
            f"exited with status {done.returncode}; is there enough memory?"
        ]
        raise VireidError(f"scale: {stage} of {size} vectors: {reason[0]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(stage: str, size: int, identities: int) -> Measurement:
    """Run one stage on ``size`` gallery vectors and `QUERIES` queries in this process."""
    features, people = clusters(size + QUERIES, identities)
    query, gallery = features[:QUERIES], features[QUERIES:]
    labels = Labels(people, torch.ones_like(people))
    before = peak_memory() / 2**30
    start = time.perf_counter()
    if stage == "rank":
        nearest(query, gallery, 20)
    elif stage == "score":
        score_queries(CosineRanking(query, gallery), labels[:QUERIES], labels[QUERIES:], RULES["folder"])
    else:
        for _ in KReciprocalRanking(query, gallery).blocks():
            pass
    seconds, threads = time.perf_counter() - start, torch.get_num_threads()
    return Measurement(stage, size, identities, QUERIES, DIMENSIONS, threads, seconds, before, peak_memory() / 2**30)


def clusters(rows: int, identities: int, seed: int = 0, dimensions: int = DIMENSIONS) -> tuple[Tensor, Tensor]:
    """Return (rows, dimensions) features of identities with noise, and their identities."""
    generator = torch.Generator().manual_seed(seed)
    people = torch.arange(rows) % identities
    centres = torch.randn(identities, dimensions, generator=generator)
    return centres[people].add_(torch.randn(rows, dimensions, generator=generator), alpha=3.0), people


def write_scale(out: Path, found: Sequence[Measurement]) -> None:
    """Write ``scale.csv``, ``.pdf`` and ``.png``.

    Raises:
        VireidError: the report extra is not installed, or the folder cannot be written.
    """
    with atomic_path(out / "scale.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measurement)], lineterminator="\n")
        writer.writeheader()
        for one in found:
            writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(one).items()})
    figure = scale_figure(found)
    for suffix in (".pdf", ".png"):
        write_figure(out / f"scale{suffix}", figure)


def scale_figure(found: Sequence[Measurement]) -> Figure:
    """Draw seconds and peak memory over the gallery size, and seconds over the identities of the largest gallery."""
    largest = max(one.gallery for one in found)
    growing = [one for one in found if one.identities == one.gallery // USUAL_IMAGES]
    whole = sorted((one for one in found if one.gallery == largest), key=lambda one: one.identities)
    with drawing():
        figure = new_figure(PAGE_WIDTH, 2.5)
        left, middle, right = figure.subplots(1, 3)
        _lines(left, growing, lambda one: one.gallery, lambda one: one.seconds)
        _lines(middle, growing, lambda one: one.gallery, lambda one: one.peak)
        _lines(right, whole, lambda one: one.identities, lambda one: one.seconds)
        seconds = f"seconds for {found[0].queries} queries"
        left.set(xlabel="gallery vectors", ylabel=seconds)
        middle.set(xlabel="gallery vectors", ylabel="peak memory of the process, GiB")
        right.set(xlabel=f"identities of {largest:,} vectors", ylabel=seconds)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=len(STAGES))
    return figure


def _lines(
    axes: Axes, found: Sequence[Measurement], x: Callable[[Measurement], float], y: Callable[[Measurement], float]
) -> None:
    for number, (stage, meaning) in enumerate(STAGES.items()):
        ones = [one for one in found if one.stage == stage]
        label = f"{stage} ({meaning})"
        axes.loglog([x(one) for one in ones], [y(one) for one in ones], marker="o", markersize=3, label=label,
                    color=PALETTE[number], linestyle=DASHES[number])  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,g}")  # the usual powers of ten need math text
        axis.set_minor_formatter(lambda *_: "")
    axes.grid()


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
