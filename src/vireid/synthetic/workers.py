"""Rendering many images to files, in this process or in several.

Processes are used rather than threads, because every PyTorch call takes the interpreter's lock, and on a busy machine
threads spend their time waiting for it. They are started as plain commands and not through ``multiprocessing``, which
would run the caller's script a second time (spawn) or copy a process whose threads hold locks (fork).
"""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from vireid.difficulty import Difficulty
from vireid.machine import usable_cores
from vireid.synthetic.identity import sample_identity
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.plans import Shot
from vireid.synthetic.renderer import render_with_masks
from vireid.synthetic.settings import SyntheticSet
from vireid.synthetic.view import sample_camera, sample_view
from vireid.types import VireidError

BATCH = 16  # images rendered together on a CPU
DEVICE_BATCH = 128  # images rendered together on a GPU
PARTIAL = ".partial"  # folder of the images being written
MASKS = "masks"  # folder of the silhouettes
PIXELS_WORTH_A_PROCESS = 4_000_000  # takes about as long as starting a process
# the parent handles interrupts; the job is read before PyTorch is imported, so that all processes start at once
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); import sys; job = sys.stdin.buffer.read(); "
    "from vireid.synthetic.workers import serve; serve(job)"
)

_person = lru_cache(maxsize=2048)(sample_identity)
_camera = lru_cache(maxsize=64)(sample_camera)


@dataclass(frozen=True)
class RenderJob:
    """Images to render into ``folder``, whose subfolders all exist; with silhouettes if ``masks``."""

    folder: Path
    shots: tuple[Shot, ...]
    seed: int
    difficulty: Difficulty
    height: int
    width: int
    masks: bool


@dataclass(frozen=True)
class Picture:
    """A rendered shot: uint8 (height, width, 3) pixels, the bool (height, width) silhouette, the JPEG quality."""

    shot: Shot
    pixels: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    quality: int


def run(job: RenderJob) -> Generator[int, None, None]:
    """Render the images of a job on a GPU, if there is one, or with as many processes as are worth starting; yield the
    number of newly written images, repeatedly.

    Every file appears whole or not at all, an image after its silhouette. Raises ``OSError`` if a file cannot be
    written.
    """
    if torch.cuda.is_available():
        return run_on(job, torch.device("cuda"))
    pixels = len(job.shots) * job.height * job.width
    processes = min(usable_cores(), 1 + pixels // PIXELS_WORTH_A_PROCESS)
    return run_here(job) if processes == 1 else run_apart(job, processes)


def run_here(job: RenderJob) -> Generator[int, None, None]:
    """Render the images of a job in this process."""
    for begin in range(0, len(job.shots), BATCH):
        batch = job.shots[begin : begin + BATCH]
        for picture in pictures(job, batch, torch.device("cpu")):
            _write(job, picture)
        yield len(batch)


def run_on(job: RenderJob, device: torch.device) -> Generator[int, None, None]:
    """Render the images of a job in this process on ``device``; threads write one batch while the next is rendered."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        writing: list[Future[None]] = []
        for begin in range(0, len(job.shots), DEVICE_BATCH):
            batch = pictures(job, job.shots[begin : begin + DEVICE_BATCH], device)
            yield _finish(writing)
            writing = [pool.submit(_write, job, picture) for picture in batch]
        yield _finish(writing)


def run_apart(job: RenderJob, processes: int) -> Generator[int, None, None]:
    """Render the images of a job in other processes, which all report through one pipe."""
    reader, writer = os.pipe()
    children: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        with os.fdopen(reader) as answers:
            with os.fdopen(writer, "wb") as mouth:
                for share in _shares(job, processes):
                    command = [sys.executable, "-c", COMMAND]
                    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=mouth, env=environment)
                    children.append(child)
                    assert child.stdin is not None
                    with child.stdin as ear:
                        ear.write(pickle.dumps(share))
            for answer in answers:
                kind, number = answer.split()
                if kind == "errno":
                    raise OSError(int(number), os.strerror(int(number)))
                yield int(number)
        for child in children:
            if child.wait() != 0:
                raise VireidError(f"a rendering process ended with status {child.returncode}")
    finally:
        for child in children:
            child.kill()
            child.wait()


def serve(job: bytes) -> None:
    """Run one of the processes of ``run_apart``."""
    torch.set_num_threads(1)
    try:
        for count in run_here(pickle.loads(job)):
            _answer(f"written {count}")
    except BrokenPipeError:  # the parent is gone
        os._exit(1)
    except OSError as error:
        _answer(f"errno {error.errno or errno.EIO}")


def _answer(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())  # in one call: print may write in pieces to the shared pipe


def _shares(job: RenderJob, processes: int) -> list[RenderJob]:
    """Distribute the images, whole batches at a time."""
    batches = [job.shots[i : i + BATCH] for i in range(0, len(job.shots), BATCH)]
    hands = [tuple(shot for batch in batches[i::processes] for shot in batch) for i in range(processes)]
    return [replace(job, shots=hand) for hand in hands if hand]


def _finish(writing: list[Future[None]]) -> int:
    for future in writing:
        future.result()
    return len(writing)


def pictures(job: RenderJob | SyntheticSet, batch: Sequence[Shot], device: torch.device) -> list[Picture]:
    """Render shots, which may mix spectra; their order may change."""
    found = []
    for spectrum in Spectrum:
        mine = [shot for shot in batch if shot.spectrum is spectrum]
        cameras = [_camera(job.seed, shot.camera) for shot in mine]
        people = [_person(job.seed, shot.identity, job.difficulty) for shot in mine]
        views = [
            sample_view(job.seed, shot.identity, camera, shot.image, job.difficulty)
            for shot, camera in zip(mine, cameras, strict=True)
        ]
        images, masks = render_with_masks(people, views, spectrum, job.height, job.width, device)
        parts = mine, images.cpu().numpy(), masks.cpu().numpy(), [camera.jpeg for camera in cameras]
        found += [Picture(*each) for each in zip(*parts, strict=True)]
    return found


def _write(job: RenderJob, picture: Picture) -> None:
    if job.masks:
        _save(Image.fromarray(picture.mask), job.folder / mask_path(picture.shot.path), job.folder / PARTIAL)
    # the camera decides the quality, and with it the tables in the file
    _save(
        Image.fromarray(picture.pixels),
        job.folder / picture.shot.path,
        job.folder / PARTIAL,
        quality=picture.quality,
    )


def mask_path(path: str) -> str:
    """Return the path of the silhouette of the image at ``path``."""
    return f"{MASKS}/{Path(path).with_suffix('.png')}"


def _save(image: Image.Image, target: Path, partial: Path, **options: Any) -> None:
    """Write an image atomically, through a file in ``partial`` that belongs to this thread."""
    work = partial / f"{os.getpid()}-{threading.get_ident()}{target.suffix}"
    image.save(work, **options)
    work.replace(target)
