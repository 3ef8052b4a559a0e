"""Content hashes of image files, cached so that the next start does not read gigabytes again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vireid.files import atomic_path
from vireid.images import read_bytes
from vireid.parallel import in_threads
from vireid.types import VireidError

DIGEST_BYTES = 16

_SETTLED_NS = 2_000_000_000
"""File time stamps are coarse, so a file changed this recently may change again under the same stamp."""


def digest(data: bytes) -> bytes:
    """BLAKE2b of some bytes, `DIGEST_BYTES` long."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def content_digests(paths: Sequence[Path], cache: Path, workers: int | None = None) -> list[bytes]:
    """The `digest` of every file, in order.

    They are cached in ``cache`` under a name made of all paths, sizes and change times, so after any file is
    touched all are read again. Raises `VireidError` naming a file that cannot be read.
    """
    fingerprint, newest = _fingerprint(paths)
    memo = cache / f"{fingerprint}.digests"
    known = _read(memo, len(paths))
    if known is not None:
        return known
    digests = in_threads(lambda path: digest(read_bytes(path)), paths, workers)
    if newest < time.time_ns() - _SETTLED_NS:
        body = b"".join(digests)
        with suppress(VireidError), atomic_path(memo) as path:  # a failure only costs the next start time
            path.write_bytes(body + digest(body))
    return digests


def _fingerprint(paths: Sequence[Path]) -> tuple[str, int]:
    """Hash of all (path, size, change times), and the newest of these times in nanoseconds."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    newest = 0
    for path in paths:
        try:
            stat = path.stat()
        except OSError as error:
            raise VireidError(f"{path}: cannot read this image file: {error.strerror}") from error
        state.update(repr((str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)).encode())
        newest = max(newest, stat.st_mtime_ns, stat.st_ctime_ns)
    return state.hexdigest(), newest


def _read(memo: Path, count: int) -> list[bytes] | None:
    try:
        data = memo.read_bytes()
    except OSError:
        return None
    body, check = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if len(body) != count * DIGEST_BYTES or digest(body) != check:
        return None
    return [body[i : i + DIGEST_BYTES] for i in range(0, len(body), DIGEST_BYTES)]
