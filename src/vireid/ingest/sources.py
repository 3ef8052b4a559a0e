"""Sources of new images: files, folders and patterns, and what is known about each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vireid.gallery.pictures import find_files, read_file
from vireid.types import Modality, VireidError


@dataclass(frozen=True)
class About:
    """Defaults for images that do not state these values; ``modality`` None is an error if nothing else states it."""

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
    """An image to read: ``read`` returns the bytes of an image file, or raises `VireidError`."""

    name: str
    about: About
    read: Callable[[], bytes]


def file_source(path: Path, about: About) -> Source:
    """Return the source of an image file; reading refuses anything but a regular file of moderate size."""
    if about.modality is None:
        raise VireidError(f"{path}: modality unknown; give --modality visible or infrared, or name it in a manifest")
    return Source(str(path), about, lambda: read_file(path))


def file_sources(inputs: Sequence[str], about: About) -> list[Source]:
    """Return the images of files, folders (with their subfolders) and patterns such as ``day/*.jpg``.

    Raises:
        VireidError: an input names no image, or no modality is given.
    """
    return [file_source(path, about) for text in inputs for path in find_files(text)]
