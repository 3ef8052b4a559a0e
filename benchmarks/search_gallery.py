"""Searching a gallery at its real size: 20,000 vectors of 4,096 in a folder, 200,000 on a Milvus server.

    python benchmarks/search_gallery.py                                      both
    python benchmarks/search_gallery.py --folder 5000 20000 50000 --server   folders alone, of several sizes
    python benchmarks/search_gallery.py --folder --server 200000 --keep DIR  goes on with what a stopped call has added

Images are added 64 at a time (--batch), by `Gallery.add` alone: no file is read, no network runs, vectors are drawn.
There are twenty images of a person, with the similarities of the small recipe's full method on synvi-1: cosine 0.44 on
average within a person, 0.0 +- 0.17 between people. A hundred queries, images of as many people of the gallery that are
not in it, are asked one after another, over all images and over four of eight cameras. Recall is the share of the ten
truly most similar images, found by comparing with every vector, that are among the ten of the answer. The server is
that of the PyPI package `milvus`, on the same machine.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.gallery.milvus_server import milvus_server

from vireid.cli.options import bars
from vireid.deploy.embedder import Vectors
from vireid.gallery.milvus import connect
from vireid.gallery.records import EVERYTHING, Entry, Gallery, NewImage, Where
from vireid.gallery.store import open_gallery
from vireid.ingest.add import BATCH
from vireid.types import Modality

OF_A_PERSON, CAMERAS, QUERIES, TOP = 20, 8, 100, 10
HALF = Where(cameras=tuple(f"c{number}" for number in range(CAMERAS // 2)))
THUMBNAIL = b"\xff\xd8" + np.random.default_rng(0).bytes(2292)
"""As large as those of rendered people."""


class Drawn:
    """People whose vectors are drawn; stands for the model too.

    A vector is sqrt(0.44) of the person, sqrt(0.46) of the view and sqrt(0.1) of noise in all directions. Persons
    differ in 32 directions and views in 64, much as the features of a trained model (participation ratios 20 and 40).
    """

    name, dimension, source = "drawn", 4096, ""
    fingerprint = hashlib.sha256(b"drawn").hexdigest()

    def __init__(self, images: int) -> None:
        generator = np.random.default_rng(0)
        self.people = -(-images // OF_A_PERSON)
        self._person = _unit(generator.standard_normal((self.people, 32), np.float32))
        self._axes = generator.standard_normal((96, self.dimension), np.float32) / np.sqrt(self.dimension)

    def vectors(self, people: Sequence[int], seed: int) -> Vectors:
        """Return one vector (len(people), 4096) of each of these people."""
        generator = np.random.default_rng((1, seed))
        view = _unit(generator.standard_normal((len(people), 64), np.float32))
        noise = _unit(generator.standard_normal((len(people), self.dimension), np.float32))
        latent = np.concatenate([np.sqrt(0.44) * self._person[list(people)], np.sqrt(0.46) * view], axis=1)
        return _unit((latent @ self._axes + np.sqrt(0.1) * noise).astype(np.float32))

    def batch(self, start: int) -> list[NewImage]:
        """Return the images from ``start`` on, `BATCH` of them; the n-th is of person n modulo the number of people."""
        rows = range(start, start + BATCH)
        vectors = self.vectors([row % self.people for row in rows], start)
        return [NewImage(_entry(row), vector, THUMBNAIL) for row, vector in zip(rows, vectors, strict=True)]

    def queries(self) -> Vectors:
        """Return unseen images (`QUERIES`, 4096) of people spread over the gallery."""
        return self.vectors([self.people * query // QUERIES for query in range(QUERIES)], seed=-1 % 2**32)


def _unit(values: Vectors) -> Vectors:
    return values / np.linalg.norm(values, axis=1, keepdims=True)  # type: ignore[no-any-return]


def _entry(row: int) -> Entry:
    id = hashlib.sha256(str(row).encode()).hexdigest()
    return Entry(id, f"{row}.jpg", Modality.VISIBLE, f"c{row // 7 % CAMERAS}", 1_700_000_000.0 + row)


def fill(gallery: Gallery, drawn: Drawn, images: int, together: int) -> float:
    """Add what is missing of ``images`` images and return how many a second were added, drawing not counted."""
    first = gallery.info().images // together * together
    seconds = 0.0
    with bars() as bar:
        update = bar("adding")
        for start in range(first, images, together):
            end = min(start + together, images)
            new = [image for part in range(start, end, BATCH) for image in drawn.batch(part)]
            began = time.perf_counter()
            gallery.add(new)
            seconds += time.perf_counter() - began
            update(end, images)
    return (images - first) / seconds if seconds else float("nan")


def settle(place: str) -> None:
    """Wait until a server has indexed what it was sent, as it does by itself within minutes."""
    url, _, collection = place.rpartition("/")
    client = connect(url)
    client.flush(collection, timeout=600)
    while client.describe_index(collection, "vector")["pending_index_rows"]:
        time.sleep(1)
    client.close()


def truly_best(drawn: Drawn, images: int, where: Where) -> list[set[str]]:
    """Return the ids of the `TOP` images most similar to every query, by comparing with all."""
    queries = drawn.queries()
    best: list[list[tuple[float, str]]] = [[] for _ in queries]
    for start in range(0, images, BATCH):
        meant = [image for image in drawn.batch(start) if not where.cameras or image.entry.camera in where.cameras]
        scores = queries @ np.stack([image.vector for image in meant]).T
        for found, row in zip(best, scores, strict=True):
            found += [(float(score), image.entry.id) for score, image in zip(row, meant, strict=True)]
            found[:] = sorted(found, reverse=True)[:TOP]
    return [{id for _, id in found} for found in best]


def ask(gallery: Gallery, drawn: Drawn, images: int, where: Where) -> str:
    """Return cells: median and 99th percentile in milliseconds of one query, recall."""
    best, seconds, hits = truly_best(drawn, images, where), [], 0
    for query, wanted in zip(drawn.queries(), best, strict=True):
        began = time.perf_counter()
        found = gallery.search(query[None], TOP, where)
        seconds.append(time.perf_counter() - began)
        hits += len(wanted & {match.entry.id for match in found})
    median, late = np.percentile(seconds, (50, 99)) * 1000
    return f"{median:.1f} | {late:.1f} | {hits / TOP / QUERIES:.4f}"


def measure(place: str, disk: Path, images: int, together: int) -> str:
    """Fill and search a gallery; return a row of the table."""
    drawn = Drawn(images)
    gallery = open_gallery(place, create=drawn)
    rate = fill(gallery, drawn, images, together)
    gallery.close()
    if "://" in place:
        settle(place)
    began = time.perf_counter()
    gallery = open_gallery(place)
    gallery.search(drawn.queries()[:1], TOP)
    opened = time.perf_counter() - began
    cells = [ask(gallery, drawn, images, where) for where in (EVERYTHING, HALF)]
    gallery.close()
    used = sum(file.stat().st_blocks * 512 for file in disk.rglob("*") if file.is_file())
    kind = "folder" if "://" not in place else "server"
    return f"| {kind} | {images:,} | {cells[0]} | {cells[1]} | {rate:.0f} | {opened:.2f} | {used / images / 1000:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=int, nargs="*", default=[20_000], help="numbers of images, none for no folder")
    parser.add_argument("--server", type=int, nargs="*", default=[200_000], help="the same for the server")
    parser.add_argument("--batch", type=int, default=BATCH, help="images added by one call, a multiple of 64")
    parser.add_argument("--keep", type=Path, help="where the galleries stay")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.keep or Path(temporary)).resolve()
        half = "| median ms | p99 ms | recall@10 "
        print(f"| gallery | images {half}{half}| added/s | opened and searched, s | kB of disk per image |")
        print("|" + "---|" * 11)
        for images in options.folder:
            print(measure(str(root / f"folder-{images}"), root / f"folder-{images}", images, options.batch), flush=True)
        for images in options.server:
            with milvus_server(root / f"server-{images}", patience=600) as url:
                print(measure(f"{url}/people", root / f"server-{images}", images, options.batch), flush=True)


if __name__ == "__main__":
    main()
