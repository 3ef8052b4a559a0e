"""Rendering many images into files, in this process or in several.

Processes rather than threads: every PyTorch call takes the interpreter's lock, and on a busy machine threads spend
their time waiting for it. They are started as plain commands and not through ``multiprocessing``, which would run a
caller's script a second time (spawn) or copy a process whose threads hold locks (fork).
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from vireid.data.synthetic.difficulty import Difficulty
from vireid.data.synthetic.identity import sample_identity
from vireid.data.synthetic.materials import Spectrum
from vireid.data.synthetic.renderer import render
from vireid.data.synthetic.view import sample_camera, sample_view
from vireid.types import VireidError

BATCH = 16  # images that are rendered together
PIXELS_WORTH_A_PROCESS = 4_000_000  # about the work that takes as long as starting one
# what it is to do is read before PyTorch is imported, so that all of them start at once
COMMAND = "import sys; job = sys.stdin.buffer.read(); from vireid.data.synthetic.workers import serve; serve(job)"

_person = lru_cache(maxsize=256)(sample_identity)  # neighbouring images show the same person


@dataclass(frozen=True)
class Shot:
    """One image to make: where it goes, below the job's folder, and what it shows."""

    path: str
    identity: int
    camera: int
    image: int
    spectrum: Spectrum


@dataclass(frozen=True)
class Job:
    """Images to make; their folders exist."""

    folder: Path
    shots: tuple[Shot, ...]
    seed: int
    difficulty: Difficulty
    height: int
    width: int


def run(job: Job) -> Generator[int, None, None]:
    """Make a job's images with as many processes as pay; gives how many more are written, again and again.

    Raises ``OSError`` when a file cannot be written.
    """
    pixels = len(job.shots) * job.height * job.width
    processes = min(_cores(), 1 + pixels // PIXELS_WORTH_A_PROCESS)
    return run_here(job) if processes == 1 else run_apart(job, processes)


def run_here(job: Job) -> Generator[int, None, None]:
    """Make a job's images in this process."""
    for begin in range(0, len(job.shots), BATCH):
        batch = job.shots[begin : begin + BATCH]
        for shot, pixels in zip(batch, _pictures(job, batch), strict=True):
            Image.fromarray(pixels).save(job.folder / shot.path, quality=92)
        yield len(batch)


def run_apart(job: Job, processes: int) -> Generator[int, None, None]:
    """Make a job's images in other processes, which all answer through one pipe."""
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
    """Be one of the processes of ``run_apart``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    torch.set_num_threads(1)
    try:
        for count in run_here(pickle.loads(job)):
            _answer(f"written {count}")
    except BrokenPipeError:  # the parent is gone
        os._exit(1)
    except OSError as error:
        _answer(f"errno {error.errno or errno.EIO}")


def _answer(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())  # at once: the pipe is shared, and print may write by pieces


def _shares(job: Job, processes: int) -> list[Job]:
    """Deal out the images, whole batches at a time."""
    batches = [job.shots[i : i + BATCH] for i in range(0, len(job.shots), BATCH)]
    hands = [tuple(shot for batch in batches[i::processes] for shot in batch) for i in range(processes)]
    return [replace(job, shots=hand) for hand in hands if hand]


def _cores() -> int:
    """Return how many processor cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _pictures(job: Job, batch: tuple[Shot, ...]) -> npt.NDArray[np.uint8]:
    """Render shots, which may mix spectra, in their order."""
    pictures = np.empty((len(batch), job.height, job.width, 3), dtype=np.uint8)
    for spectrum in Spectrum:
        rows = [row for row, shot in enumerate(batch) if shot.spectrum is spectrum]
        mine = [batch[row] for row in rows]
        people = [_person(job.seed, shot.identity, job.difficulty) for shot in mine]
        views = [
            sample_view(job.seed, shot.identity, sample_camera(job.seed, shot.camera), shot.image, job.difficulty)
            for shot in mine
        ]
        pictures[rows] = render(people, views, spectrum, job.height, job.width).numpy()
    return pictures
