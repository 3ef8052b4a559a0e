"""Requests a second that a search service holds, with every answer compared with the expected one.

    python benchmarks/search_service.py --fake
    python benchmarks/search_service.py --store people --model runs/demo --images queries/ --modality infrared

Starts the service in a process of its own, on the loopback alone, and asks it with 32 clients that send one image after
another, each over a connection that it keeps. The expected answer of every image comes from the same service, asked by
one client before. Lost: no answer, or none of status 200 or 429. Wrong: another entry in a place, or a score that
differs by more than 0.001. Processor ms: what the service itself used an answer, which says something on a busy machine
too. `--fake` takes a gallery in memory and a model without a network: the cost of the service alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.service.people import announced, picture, process

Found = list[tuple[str, float]]


class Client:
    """One client with a connection of its own; collects what happened."""

    def __init__(self, serving: dict[str, Any], modality: str, top: int) -> None:
        headers = {"Authorization": f"Bearer {serving['token']}"}
        self._http = httpx.Client(base_url=serving["url"], headers=headers, timeout=90, trust_env=False)
        self._query = {"query": json.dumps({"modality": modality, "top": top})}
        self.seconds: list[float] = []
        self.lost = self.wrong = self.refused = 0

    def ask(self, image: bytes) -> Found | int | None:
        """Return the matches, another status than 200, or None where no answer came."""
        files = [("images", ("query", image))]
        try:
            response = self._http.post("/api/v1/search", files=files, data=self._query)
        except httpx.TransportError:
            return None
        if response.status_code != 200:
            return response.status_code
        return [(match["entry"]["id"], float(match["score"])) for match in response.json()["matches"]]

    def run(self, images: list[bytes], expected: list[Found], first: int, end: float) -> None:
        """Ask until ``end``, starting at image ``first``."""
        row = first
        while (start := time.monotonic()) < end:
            row = (row + 1) % len(images)
            found = self.ask(images[row])
            if found == 429:
                self.refused += 1
                time.sleep(1)
            elif found is None or isinstance(found, int):
                self.lost += 1
            else:
                self.seconds.append(time.monotonic() - start)
                self.wrong += not same(found, expected[row])


def same(found: Found, expected: Found) -> bool:
    """Whether two answers agree; entries whose scores are equal to rounding may change places."""
    if len(found) != len(expected):
        return False
    scores = np.abs(np.subtract([score for _, score in found], [score for _, score in expected]))
    ranks = dict(expected)
    moved = any(abs(ranks.get(id, 9.0) - score) > 1e-3 for id, score in found[:-1])
    return bool((scores <= 1e-3).all()) and not moved


@contextmanager
def real(store: Path, model: Path, queue: int) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run `vireid serve` on a store."""
    command = [str(Path(sys.executable).with_name("vireid")), "serve", str(store), "--model", str(model)]
    command += ["--port", "0", "--queue", str(queue)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True) as running:
        try:
            yield running, announced(store, running)
        finally:
            running.terminate()


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--images", type=Path, help="folder of query images")
    parser.add_argument("--modality", default="infrared", choices=("visible", "infrared"))
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--queue", type=int, default=64)
    parser.add_argument("--top", type=int, default=20)
    options = parser.parse_args()
    if not options.fake and None in (options.store, options.model, options.images):
        parser.error("expected --fake, or --store, --model and --images")
    with tempfile.TemporaryDirectory() as folder:
        service: AbstractContextManager[tuple[subprocess.Popen[str], dict[str, Any]]]
        if options.fake:
            images = [picture(seed, "JPEG", (288, 144)) for seed in range(100)]
            service = process(Path(folder) / "store", images=200, limits={"queue": options.queue})
        else:
            images = [path.read_bytes() for path in sorted(options.images.rglob("*.*"))[:200]]
            service = real(options.store, options.model, options.queue)
        with service as (running, serving):
            measure(running, serving, images, options)


def measure(
    running: subprocess.Popen[str], serving: dict[str, Any], images: list[bytes], options: argparse.Namespace
) -> None:
    """Ask, compare, and print a markdown table; end the service and say how it ended."""
    alone = Client(serving, options.modality, options.top)
    start = time.monotonic()
    expected: list[Found] = []
    for image in images:
        found = alone.ask(image)
        if not isinstance(found, list):
            raise SystemExit(f"the service answered a single client with {found}")
        expected.append(found)
    single = len(images) / (time.monotonic() - start)
    clients = [Client(serving, options.modality, options.top) for _ in range(options.clients)]
    start, busy = time.monotonic(), processor_seconds(running.pid)
    end = start + options.seconds
    with ThreadPoolExecutor(options.clients) as pool:
        list(pool.map(lambda row: clients[row].run(images, expected, 7 * row, end), range(options.clients)))
    elapsed, busy = time.monotonic() - start, processor_seconds(running.pid) - busy
    seconds = np.concatenate([client.seconds for client in clients])
    median, late, last = np.percentile(seconds, (50, 95, 99)) * 1000
    lost, wrong, refused = (sum(getattr(client, name) for client in clients) for name in ("lost", "wrong", "refused"))
    print(
        "| clients | seconds | answers | answers/s | one client alone | median ms | p95 | p99 | processor ms "
        "| lost | wrong | 429 |"
    )
    print("|" + "---|" * 12)
    print(
        f"| {options.clients} | {elapsed:.0f} | {len(seconds)} | {len(seconds) / elapsed:.1f} | {single:.1f} "
        f"| {median:.0f} | {late:.0f} | {last:.0f} | {1000 * busy / len(seconds):.1f} | {lost} | {wrong} | {refused} |"
    )
    running.terminate()
    print(f"\nThe service ended with status {running.wait(90)}.")
    if lost or wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
