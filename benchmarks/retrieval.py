"""Time metrics, re-ranking and search against the usual loops and against the machine's memory bandwidth.

    python benchmarks/retrieval.py                 everything, growth up to 100,000 vectors
    python benchmarks/retrieval.py --only metrics rerank

Prints markdown tables and draws the growth. Needs the repository (it compares with tests/reference) and some 5 GB of
disk for `search`. Times are wall clock and processor time of all threads; on a busy machine the latter says more.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line has it, before PyTorch starts its threads

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.reference.metrics import loop
from tests.reference.reranking import k_reciprocal_distance

from vireid.evaluation import RULES, Labels, score_queries, summarise
from vireid.machine import peak_memory
from vireid.retrieval import KReciprocalRanking, MatrixRanking, nearest

DIMENSIONS = 2048
GROWTH = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
PLOT = Path(__file__).parents[1] / "docs" / "images" / "retrieval-growth.png"
LIMIT = 8 * 2**30
CASES = (
    ("SYSU all", 3803, 301, (1, 2, 4, 5), 96, 10, "sysu"),
    ("SYSU indoor", 3803, 112, (1, 2), 96, 10, "sysu"),
    ("RegDB", 2060, 2060, (1,), 206, 1, "regdb"),
)
"""Name, queries, gallery images, gallery cameras, identities, trials, protocol."""


def clusters(rows: int, identities: int, seed: int = 0, dimensions: int = DIMENSIONS) -> tuple[Tensor, Tensor]:
    """Return (rows, dimensions) features of identities with noise, and their identities."""
    generator = torch.Generator().manual_seed(seed)
    people = torch.arange(rows) % identities
    centres = torch.randn(identities, dimensions, generator=generator)
    return centres[people].add_(torch.randn(rows, dimensions, generator=generator), alpha=3.0), people


def seconds(work: Callable[[], object], repeat: int = 1) -> tuple[float, float]:
    """Return the shortest of ``repeat`` runs, by the clock and in processor time."""
    walls, processors = [], []
    for _ in range(repeat):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors)


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a markdown table."""
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def metrics() -> None:
    """CMC, mAP and mINP from a similarity matrix: ours against the loop over queries, ten trials for SYSU-MM01."""
    rows = []
    for name, queries, images, cameras, identities, trials, protocol in CASES:
        generator = torch.Generator().manual_seed(0)
        seen = torch.arange(images) // identities % len(cameras)
        query = Labels(torch.arange(queries) % identities, torch.tensor([3, 6])[torch.arange(queries) % 2])
        gallery = Labels(torch.arange(images) % identities, torch.tensor(cameras)[seen])
        matrices = [torch.rand(queries, images, generator=generator) for _ in range(trials)]
        ours = partial(score_all, matrices, query, gallery, protocol)
        usual = partial(loop_all, matrices, query, gallery, protocol)
        assert np.allclose(ours(), usual(), atol=1e-6)
        rows.append([name, f"{queries} x {images}", str(trials), *versus(seconds(usual), seconds(ours, 5))])
    table("Metrics", ["protocol", "size", "trials", *VERSUS], rows)


VERSUS = ["usual, s", "ours, s", "ratio", "usual, processor s", "ours, processor s", "ratio"]


def versus(slow: tuple[float, float], fast: tuple[float, float]) -> list[str]:
    """Return the cells of VERSUS."""
    return [cell for s, f in zip(slow, fast, strict=True) for cell in (f"{s:.2f}", f"{f:.3f}", f"{s / f:.0f}")]


def score_all(matrices: list[Tensor], query: Labels, gallery: Labels, protocol: str) -> list[list[float]]:
    """Return rank-1, 5, 10, 20, mAP and mINP of every matrix."""
    found = [summarise(score_queries(MatrixRanking(m), query, gallery, RULES[protocol])) for m in matrices]
    return [[f.rank1, f.rank5, f.rank10, f.rank20, f.map, f.minp] for f in found]


def loop_all(matrices: list[Tensor], query: Labels, gallery: Labels, protocol: str) -> list[list[float]]:
    """Return the same, the usual way."""
    sides = [query.identities, gallery.identities, query.cameras, gallery.cameras]
    q_ids, g_ids, q_cameras, g_cameras = (side.numpy() for side in sides)
    found = [loop(m.numpy(), q_ids, g_ids, q_cameras, g_cameras, protocol) for m in matrices]
    return [[*(float(f.cmc[rank - 1]) for rank in (1, 5, 10, 20)), f.map, f.minp] for f in found]


def rerank() -> None:
    """k-reciprocal re-ranking at the size of SYSU-MM01: ours against full matrices and a loop."""
    features, _ = clusters(3803 + 301, 96)
    query, gallery = features[:3803], features[3803:]

    def ours() -> Tensor:
        return torch.cat([1 - block for _, block in KReciprocalRanking(query, gallery).blocks()])

    fast = seconds(ours, 5)
    rows = []
    for name, pairwise in (("pair by pair, as in the script everyone copies", True), ("by one product", False)):
        slow = seconds(partial(k_reciprocal_distance, query, gallery, exact=False, pairwise=pairwise))
        rows.append([name, *versus(slow, fast)])
    table("Re-ranking, 3803 + 301 vectors, against full matrices and loops", ["their distances", *VERSUS], rows)
    found, exact = ours().numpy(), k_reciprocal_distance(query, gallery)
    orders = [np.argsort(distance, axis=1, kind="stable") for distance in (found, exact)]
    same, error = np.mean(orders[0] == orders[1]), np.abs(found - exact).max()
    print(f"\nTo the float64 reference: largest difference {error:.1e}, {same:.4%} in the same place of the ranking")


def grow(rows: int) -> None:
    """Re-rank and score ``rows`` vectors, a tenth of them queries, and print time and peak memory as JSON.

    More than LIMIT bytes are refused by the kernel.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    features, people = clusters(rows, rows // 20)
    before = peak_memory() / 2**30
    labels = Labels(people, torch.ones_like(people))
    count = rows // 10
    start, busy = time.perf_counter(), time.process_time()
    ranking = KReciprocalRanking(features[:count], features[count:])
    encoded = time.perf_counter()
    score = summarise(score_queries(ranking, labels[:count], labels[count:], RULES["folder"]))
    done = time.perf_counter()
    found = {
        "encode": encoded - start,
        "score": done - encoded,
        "processor": time.process_time() - busy,
        "map": score.map,
    }
    print(json.dumps({"rows": rows, **found, "peak": peak_memory() / 2**30, "before": before}))


def growth(largest: int, plot: Path) -> None:
    """Run every size in a process of its own, whose peak memory is then its own."""
    found: list[dict[str, Any]] = []
    for rows in (size for size in GROWTH if size <= largest):
        print(f"growth: {rows:,} vectors", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, __file__, "--grow", str(rows)], capture_output=True, text=True, check=True
        )
        found.append(json.loads(done.stdout))
    table(
        f"Growth of re-ranking, {DIMENSIONS} dimensions, a tenth of the vectors queries, at most {LIMIT >> 30} GiB",
        [
            "vectors",
            "encode, s",
            "rank and score, s",
            "processor, s",
            "peak memory of the process, GiB",
            "of which vectors and libraries, GiB",
        ],
        [
            [f"{f['rows']:,}", *(f"{f[name]:.2f}" for name in ("encode", "score", "processor", "peak", "before"))]
            for f in found
        ],
    )
    draw(found, plot)


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Plot time and memory over the number of vectors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.16, 3.0), layout="constrained")
    rows = [f["rows"] for f in found]
    for axes, values, label in (
        (figure.add_subplot(1, 2, 1), [f["encode"] + f["score"] for f in found], "re-rank and score, seconds"),
        (figure.add_subplot(1, 2, 2), [f["peak"] for f in found], "peak memory, GiB"),
    ):
        axes.loglog(rows, values, "o-", color="#0072B2")
        axes.set_xlabel("vectors")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def bandwidth() -> float:
    """Return the bytes per second at which all cores together read memory."""
    block = torch.ones(2**28)
    return 4 * len(block) / seconds(block.sum, 5)[0]


def product_speed() -> float:
    """Return the floating-point operations per second of a large float32 matrix product, all cores together."""
    square = torch.ones(4096, 4096)
    return 2 * 4096**3 / seconds(lambda: square @ square, 3)[0]


def search(rows: int) -> None:
    """Exact top-20 in one pass over a memory-mapped float16 file, beside what memory and arithmetic allow.

    A float16 value read serves one multiplication and one addition a query: 100 queries take 100 operations a byte.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallery.npy"
        gallery = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, DIMENSIONS))
        generator = torch.Generator().manual_seed(0)
        for start in range(0, rows, 20_000):
            part = gallery[start : start + 20_000]
            part[:] = torch.randn(len(part), DIMENSIONS, generator=generator).half().numpy()
        gallery.flush()
        mapped = np.load(path, mmap_mode="r")
        memory, products = bandwidth(), product_speed()
        lines = []
        for count in (10, 100):
            query = torch.randn(count, DIMENSIONS, generator=generator)
            took, _ = seconds(partial(nearest, query, mapped, 20), 3)
            read, flops = mapped.nbytes / took, 2 * rows * DIMENSIONS * count / took
            shares = [f"{read / 1e9:.2f}", f"{read / memory:.0%}", f"{flops / 1e9:.0f}", f"{flops / products:.0%}"]
            lines.append([f"{rows:,}", str(count), f"{took:.2f}", *shares])
    head = [
        "vectors",
        "queries",
        "time, s",
        "read, GB/s",
        "share of memory bandwidth",
        "GFLOP/s",
        "share of product speed",
    ]
    limits = f"memory {memory / 1e9:.1f} GB/s, products {products / 1e9:.0f} GFLOP/s"
    table(f"Exact search, float16 file; the machine: {limits}", head, lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["metrics", "rerank", "growth", "search"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="parts to run")
    parser.add_argument("--largest", type=int, default=100_000, help="vectors of the largest growth step")
    parser.add_argument("--search-rows", type=int, default=1_000_000, help="vectors of the search")
    parser.add_argument("--plot", type=Path, default=PLOT, help="where the picture of the growth goes")
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        grow(options.grow)
        return
    load = os.getloadavg()[0]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load of the machine before {load:.1f}")
    if "metrics" in options.only:
        metrics()
    if "rerank" in options.only:
        rerank()
    if "growth" in options.only:
        growth(options.largest, options.plot)
    if "search" in options.only:
        search(options.search_rows)


if __name__ == "__main__":
    main()
