"""Decoded, resized images in one memory-mapped file, built once per data set and size.

The file's name is a hash of every image's content, the order, the size, this format's version and Pillow's,
so a changed image or setting never uses an old cache. Layout of the file::

    header   4096 bytes   JSON, padded with spaces
    pixels   n * height * width * 3 bytes
    trailer  n CRC-32 (one per image, little-endian), then BLAKE2b of header and CRCs

All of it is verified when the file is opened; a file that fails is built again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL
import torch
from torch import Tensor

from vireid.data.digests import DIGEST_BYTES, content_digests, digest
from vireid.images import Pixels, decode_image, read_bytes, resize
from vireid.machine import reserve
from vireid.parallel import Progress, in_threads
from vireid.types import Sample, VireidError

VERSION = 1
HEADER_BYTES = 4096


def cache_folder() -> Path:
    """``$VIREID_CACHE``, else ``$XDG_CACHE_HOME/vireid``, else ``~/.cache/vireid``."""
    if own := os.environ.get("VIREID_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vireid"


class PixelStore:
    """The images of a list of samples as uint8 RGB, all of one size; row i is sample i.

    ``pixels`` has shape (n, height, width, 3); `build` passes a read-only memory map.
    """

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels

    @classmethod
    def build(
        cls,
        samples: Sequence[Sample],
        height: int,
        width: int,
        cache: Path | None = None,
        workers: int | None = None,
        progress: Progress | None = None,
        resampling: str = "bilinear",
    ) -> PixelStore:
        """Open the cached pixels of these samples, decoding and resizing them first if they are not there.

        ``height`` and ``width`` are in pixels, ``cache`` a folder (default: `cache_folder`), ``workers`` the
        number of threads (default: the usable cores), ``progress`` is called while images are decoded,
        ``resampling`` is the filter of `vireid.images.resize`.
        Processes that build the same pixels at the same time wait for one of them. Raises `VireidError` for
        no samples, for unreadable images (the first one and their number), and for a full disk.
        """
        if not samples:
            raise VireidError("samples: expected at least one image, got none")
        folder = cache or cache_folder()
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        paths = [sample.path for sample in samples]
        digests = content_digests(paths, folder, workers)
        file = _CacheFile(folder, _key(digests, height, width, resampling), len(paths), height, width, resampling)
        pixels = file.verified(workers)
        if pixels is None:
            with _lock(folder / f"{file.key}.lock"):
                pixels = file.verified(workers)  # another process may have built it while this one waited
                if pixels is None:
                    file.write(paths, digests, workers, progress)
                    pixels = file.mapped()
        return cls(pixels)

    def __len__(self) -> int:
        return len(self._pixels)

    def batch(self, rows: npt.NDArray[np.int64] | Tensor) -> Tensor:
        """Images of the given rows, (b, 3, height, width) uint8 on the CPU, in channels-last memory."""
        return torch.from_numpy(self._pixels[np.asarray(rows)]).permute(0, 3, 1, 2)


def _key(digests: list[bytes], height: int, width: int, resampling: str) -> str:
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    other = () if resampling == "bilinear" else (resampling,)  # keys of caches from before there was a choice stay
    state.update(repr((VERSION, PIL.__version__, height, width, *other)).encode())
    for one in digests:
        state.update(one)
    return state.hexdigest()


@dataclass(frozen=True)
class _CacheFile:
    folder: Path
    key: str
    count: int
    height: int
    width: int
    resampling: str

    @property
    def path(self) -> Path:
        return self.folder / f"{self.key}.pixels"

    @property
    def _image_bytes(self) -> int:
        return self.height * self.width * 3

    @property
    def _bytes(self) -> int:
        return HEADER_BYTES + self.count * (self._image_bytes + 4) + DIGEST_BYTES

    @property
    def _header(self) -> bytes:
        shape = [self.count, self.height, self.width, 3]
        return json.dumps({"vireid pixels": VERSION, "key": self.key, "shape": shape}).encode().ljust(HEADER_BYTES)

    def mapped(self) -> Pixels:
        shape = (self.count, self.height, self.width, 3)
        return np.memmap(self.path, np.uint8, "r", HEADER_BYTES, shape).view(np.ndarray)

    def verified(self, workers: int | None) -> Pixels | None:
        """The memory map; None if the file is absent or any byte differs from what was written."""
        try:
            with self.path.open("rb") as file:
                header = file.read(HEADER_BYTES)
                file.seek(self.count * self._image_bytes, os.SEEK_CUR)
                trailer = file.read(self.count * 4 + DIGEST_BYTES + 1)
        except OSError:
            return None
        sums, check = trailer[: self.count * 4], trailer[self.count * 4 :]
        if header != self._header or check != digest(header + sums):
            return None
        pixels = self.mapped()
        crcs = in_threads(lambda row: zlib.crc32(pixels[row]), range(self.count), workers)
        return pixels if np.array_equal(crcs, np.frombuffer(sums, "<u4")) else None

    def write(self, paths: list[Path], digests: list[bytes], workers: int | None, progress: Progress | None) -> None:
        """Decode all images into a temporary file and rename it. Call with the lock held."""
        partial = self.folder / f"{self.key}.partial"  # owned by the lock's holder, even if a killed process left it
        try:
            with _writing(self.folder, self._bytes), partial.open("wb") as file:
                # now, so that a full disk is noticed before an hour of decoding, not in the middle of it
                reserve(file.fileno(), self._bytes)
                self._fill(file.fileno(), paths, digests, workers, progress)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)

    def _fill(
        self, fd: int, paths: list[Path], digests: list[bytes], workers: int | None, progress: Progress | None
    ) -> None:
        def store(row: int) -> int | VireidError:
            try:
                data = read_bytes(paths[row])
                if digest(data) != digests[row]:
                    raise VireidError(f"{paths[row]}: changed while it was being read; run again")
                image = resize(decode_image(data, paths[row]), self.height, self.width, self.resampling).tobytes()
            except VireidError as error:
                return error
            _write_all(fd, image, HEADER_BYTES + row * self._image_bytes)
            return zlib.crc32(image)

        results = in_threads(store, range(self.count), workers, progress)
        errors = [result for result in results if isinstance(result, VireidError)]
        if errors:
            more = f" (and {len(errors) - 1} more unreadable images; `vireid data check` lists them)"
            raise VireidError(f"{errors[0]}{more if len(errors) > 1 else ''}")
        header, sums = self._header, np.array(results, "<u4").tobytes()
        _write_all(fd, header, 0)
        _write_all(fd, sums + digest(header + sums), HEADER_BYTES + self.count * self._image_bytes)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    if os.pwrite(fd, data, offset) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _writing(folder: Path, size: int = 0) -> Iterator[None]:
    """Turn write errors into one line that says where, how much space was needed and what to do."""
    try:
        yield
    except OSError as error:
        needed = f" {size} bytes of" if size else ""
        raise VireidError(
            f"{folder}: cannot write{needed} decoded images there: {error.strerror}; "
            "make room or set VIREID_CACHE to another folder"
        ) from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``. The system releases it when the process ends, however it ends."""
    with _writing(path.parent):
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    with file:
        yield
