"""Memory is bounded by the block, not by the number of pairs: run under a limit that a full matrix exceeds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
SCRIPT = """
import resource
import torch
from vireid.evaluation import RULES, Labels, score_queries, summarise
from vireid.retrieval import CosineRanking, KReciprocalRanking, nearest

side = 5000
generator = torch.Generator().manual_seed(0)
people = torch.randn(side // 4, 32, generator=generator)
labels = Labels(torch.arange(side) // 4, torch.ones(side, dtype=torch.int64))
query, gallery = (
    people[labels.identities] + torch.randn(side, 32, generator=generator) for _ in range(2)
)
# Address space in use now, plus what the work may take: less than half of one 10,000 x 10,000 float32 matrix.
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + 180 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    torch.zeros(2 * side, 2 * side)
except RuntimeError:
    print("full matrix refused")
for ranking in (CosineRanking(query, gallery), KReciprocalRanking(query, gallery)):
    scores = score_queries(ranking, labels, labels, RULES["sysu"], block_values=1 << 20)
    print(ranking.method, round(summarise(scores).map, 3))
print(nearest(query, gallery, 20).rows.shape)
"""
MAPPED = """
import resource
import sys
import numpy as np
import torch
from vireid.retrieval import nearest

block = np.random.default_rng(0).standard_normal((4096, 512)).astype(np.float16)
gallery = np.lib.format.open_memmap(sys.argv[1], mode="w+", dtype=np.float16, shape=(40 * 4096, 512))
for copy in range(40):
    gallery[copy * 4096 : (copy + 1) * 4096] = block
gallery = np.load(sys.argv[1], mmap_mode="r")
# Data in use now, plus what the work may take: less than half of the file.
used = int(open("/proc/self/status").read().partition("VmData:")[2].split()[0]) * 1024
limit = used + 64 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.ones(gallery.shape, np.float16)
except MemoryError:
    print("whole gallery refused")
print(nearest(torch.from_numpy(block[[7]]), gallery, 3).rows.tolist())
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")


def run(script: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_proc
def test_searches_a_file_that_does_not_fit(tmp_path: Path) -> None:
    assert run(MAPPED, str(tmp_path / "gallery.npy")) == ["whole gallery refused", "[[7, 4103, 8199]]"]


@needs_proc
def test_works_where_the_full_matrix_does_not_fit() -> None:
    lines = run(SCRIPT)
    assert lines[0] == "full matrix refused"
    assert float(lines[1].removeprefix("cosine ")) > 0.2
    assert float(lines[2].removeprefix("k-reciprocal ")) > 0.2
    assert lines[3] == "torch.Size([5000, 20])"
