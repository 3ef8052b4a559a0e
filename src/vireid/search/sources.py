"""Where new images come from: files, folders, patterns, manifests, and the boxes of a video."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vireid.data.listing import image_files, subfolders
from vireid.types import Modality, VireidError

MAX_BYTES = 2**28
"""Larger files are refused before they are read."""


@dataclass(frozen=True)
class About:
    """What is said of images that do not say it themselves; ``modality`` None is an error where nobody says it."""

    modality: Modality | None = None
    camera: str = ""
    time: float | None = None
    track: str | None = None

    def or_else(self, default: About) -> About:
        """Return this with the gaps filled from ``default``."""
        return About(
            default.modality if self.modality is None else self.modality,
            self.camera or default.camera,
            default.time if self.time is None else self.time,
            self.track or default.track,
        )


@dataclass(frozen=True)
class Source:
    """An image that can be read: ``read`` returns the bytes of an image file, or raises `VireidError`."""

    name: str
    about: About
    read: Callable[[], bytes]


def file_source(path: Path, about: About) -> Source:
    """Return the source of an image file; what is not a regular file of modest size is refused when it is read."""
    if about.modality is None:
        raise VireidError(f"{path}: modality unknown; say --modality visible or infrared, or give it in a manifest")
    return Source(str(path), about, lambda: read_file(path))


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file of at most `MAX_BYTES`; a pipe or device could keep a reader for ever."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise VireidError(f"{path}: expected an image file, this is none")
        if status.st_size > MAX_BYTES:
            raise VireidError(f"{path}: {status.st_size} bytes; expected an image file of at most {MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise VireidError(f"{path}: cannot read this image file: {error.strerror or error}") from error


def file_sources(inputs: Sequence[str], about: About) -> list[Source]:
    """Return the images of files, folders (with the folders in them) and patterns such as ``day/*.jpg``.

    Raises:
        VireidError: an input that names no image, or no modality is given.
    """
    return [file_source(path, about) for text in inputs for path in find_files(text)]


def find_files(text: str) -> list[Path]:
    """Return the files that one input stands for, sorted within each folder.

    Raises:
        VireidError: there is none.
    """
    path = Path(text or "\0")  # an empty word is no folder
    if path.is_dir():
        found = list(_below(path))
    elif path.exists():
        found = [path]
    else:
        try:
            matched = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
        except (ValueError, NotImplementedError):  # not a pattern either
            matched = []
        found = [file for match in matched for file in (_below(match) if match.is_dir() else (match,))]
    if not found:
        raise VireidError(f"{text}: no image there; expected an image file, a folder or a pattern such as 'day/*.jpg'")
    return found


def _below(folder: Path) -> Iterator[Path]:
    yield from image_files(folder)
    for inner in subfolders(folder):
        if not inner.is_symlink():  # it may lead back up
            yield from _below(inner)
