"""Small pictures of nobody, and the service over them in a process of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.gallery.fakes import FakeEmbedder, MemoryGallery
from vireid.gallery.pictures import prepare
from vireid.gallery.records import Entry, NewImage
from vireid.types import Modality

ROOT = Path(__file__).parents[2]


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (96, 48)) -> bytes:
    """Return an image file of noise in a few colours; equal seeds give equal bytes."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 4, 3), np.uint8)
    image = Image.fromarray(cells).resize(size[::-1], Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def new_image(seed: int, embedder: FakeEmbedder) -> NewImage:
    """Return picture ``seed`` as an image to add: camera c0 to c2, a second apart, two to a track."""
    name = f"{seed}.png"
    pixels, thumbnail, id = prepare(picture(seed), name, embedder)
    modality = Modality(seed % 2)
    entry = Entry(id, name, modality, f"c{seed % 3}", 1_700_000_000.0 + seed, f"t{seed // 6}")
    return NewImage(entry, embedder.embed(pixels[None], modality)[0], thumbnail)


def filled(count: int, embedder: FakeEmbedder | None = None) -> MemoryGallery:
    """Return a gallery of ``count`` pictures."""
    model = FakeEmbedder()
    gallery = MemoryGallery(embedder)
    gallery.add([new_image(seed, model) for seed in range(count)])
    return gallery


@contextmanager
def process(store: Path, **options: Any) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run the service over fakes in a process of its own; yields it and what its ``serving.json`` says."""
    store.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.service.people", str(store), json.dumps(options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running, announced(store, running)
        finally:
            if running.poll() is None:
                running.kill()


def announced(store: Path, running: subprocess.Popen[str], seconds: float = 60.0) -> dict[str, Any]:
    """Wait until the service of a store is ready and return its ``serving.json``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if running.poll() is not None:
            raise RuntimeError(f"the service ended: {running.communicate()[1]}")
        try:
            serving: dict[str, Any] = json.loads((store / "serving.json").read_text())
            httpx.get(f"{serving['url']}/readyz", verify=False, trust_env=False).raise_for_status()
        except (FileNotFoundError, httpx.HTTPError):
            time.sleep(0.05)
        else:
            return serving
    raise RuntimeError("the service did not become ready")


def main() -> None:
    from vireid.service.app import ServiceSettings
    from vireid.service.limits import Limits
    from vireid.service.server import Address, serve

    store, options = sys.argv[1], json.loads(sys.argv[2])
    embedder = FakeEmbedder(options.get("embed_seconds", 0.0))
    gallery = filled(options.get("images", 12), embedder)
    if options.get("hang"):
        gallery.search = lambda *_: [time.sleep(3600)]  # type: ignore
    address = Address(
        options.get("host", "127.0.0.1"),
        0,
        *(Path(options[name]) if name in options else None for name in ("certificate", "key")),
    )
    serve(gallery, embedder, store, address, ServiceSettings(Path(store), limits=Limits(**options.get("limits", {}))))


if __name__ == "__main__":
    main()
