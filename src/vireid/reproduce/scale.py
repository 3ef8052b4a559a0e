"""What a search costs as the gallery and the number of people in it grow: time and memory of ranking and re-ranking."""

from __future__ import annotations

import csv
import io
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vireid.evaluation.metrics import score_queries, summarise
from vireid.evaluation.rules import RULES, Labels
from vireid.figures.style import COLUMN_WIDTH, DASHES, PALETTE, drawing, new_figure, write_figure
from vireid.files import atomic_path
from vireid.retrieval.ranking import CosineRanking
from vireid.retrieval.rerank import KReciprocalRanking
from vireid.types import VireidError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES = (1_000, 3_000, 10_000, 30_000)
IMAGES_OF_ONE = (4, 40)
"""Gallery images of a person: the same gallery with many people, and with few."""
QUERIES = 500
DIMENSIONS = 2048


@dataclass(frozen=True)
class Cost:
    """Cost of ``QUERIES`` queries: seconds by the clock to rank and score them (CMC, mAP, mINP), plainly and after
    k-reciprocal re-ranking, and the peak memory of the process, in GiB, PyTorch and the features included."""

    images: int
    identities: int
    rank_seconds: float
    rerank_seconds: float
    peak_gib: float


def measure(images: int, identities: int) -> Cost:
    """Measure one size on random features, each person's scattered around a direction of their own.

    Raises:
        VireidError: fewer images than identities, or a number below 1.
    """
    if not 1 <= identities <= images:
        raise VireidError(f"scale: expected 1 to {images} identities for {images} images, got {identities}")
    torch.manual_seed(0)
    people = torch.randn(identities, DIMENSIONS)
    query, gallery = (_seen(people, rows) for rows in (QUERIES, images))
    asked, held = (Labels(ids, torch.full_like(ids, camera)) for (_, ids), camera in ((query, 3), (gallery, 1)))

    def score(ranking: CosineRanking | KReciprocalRanking) -> None:
        summarise(score_queries(ranking, asked, held, RULES["sysu"]))

    ranked = _seconds(lambda: score(CosineRanking(query[0], gallery[0])))
    reranked = _seconds(lambda: score(KReciprocalRanking(query[0], gallery[0])))
    return Cost(images, identities, round(ranked, 4), round(reranked, 4), round(_peak_memory(), 3))


def write_scale(
    out: Path, images: Sequence[int] = IMAGES, progress: Callable[[int, int], None] | None = None
) -> tuple[Cost, ...]:
    """Measure every size, each in a process of its own, and write ``scale.csv``, ``.pdf`` and ``.png`` into ``out``.

    Raises:
        VireidError: a size below the people it is to hold, or a folder that cannot be written.
    """
    if not images or min(images) < max(IMAGES_OF_ONE):
        raise VireidError(f"scale: expected gallery sizes of at least {max(IMAGES_OF_ONE)} images, got {list(images)}")
    costs: list[Cost] = []
    sizes = [(size, size // each) for each in IMAGES_OF_ONE for size in sorted(set(images))]
    for cost in _measured_alone(sizes):
        costs.append(cost)
        if progress:
            progress(len(costs), len(sizes))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Cost)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, costs))
    with atomic_path(out / "scale.csv") as path:
        path.write_text(buffer.getvalue())
    figure = scale_figure(costs)
    for suffix in (".pdf", ".png"):
        write_figure(out / f"scale{suffix}", figure)
    return tuple(costs)


def scale_figure(costs: Sequence[Cost]) -> Figure:
    """Draw seconds and memory over the gallery's images, a line for each number of images of a person."""
    with drawing():
        figure = new_figure(COLUMN_WIDTH, 3.6)
        times, memory = figure.subplots(2, 1, sharex=True)
        for index, each in enumerate(IMAGES_OF_ONE):
            part = [cost for cost in costs if cost.identities == cost.images // each]
            sizes = [cost.images for cost in part]
            for place, (name, key) in enumerate((("ranked", "rank_seconds"), ("re-ranked", "rerank_seconds"))):
                label, values = f"{name}, {each} images of a person", [getattr(cost, key) for cost in part]
                line = {"color": PALETTE[place], "linestyle": DASHES[index], "marker": "os"[index], "markersize": 3}
                times.plot(sizes, values, label=label, **line)
            memory.plot(
                sizes, [cost.peak_gib for cost in part], color=PALETTE[2], linestyle=DASHES[index],
                marker="os"[index], markersize=3, label=f"{each} images of a person",
            )  # fmt: skip
        times.set(xscale="log", yscale="log", ylabel=f"seconds for {QUERIES} queries")
        memory.set(xlabel="gallery images", ylabel="peak memory, GiB", ylim=(0, None))
        for axes in (times, memory):
            axes.grid(visible=True)
            axes.legend(fontsize=6)
    return figure


def _measured_alone(sizes: Sequence[tuple[int, int]]) -> Iterator[Cost]:
    for size in sizes:  # the peak of a process says nothing of the second thing measured in it
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            yield pool.submit(measure, *size).result()


def _seen(people: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    identities = torch.arange(rows) % len(people)
    return people[identities] + torch.randn(rows, DIMENSIONS), identities


def _peak_memory() -> float:
    """The most memory that this process has held, in GiB (ru_maxrss would start from the parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
