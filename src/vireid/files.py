"""Atomic writes: a file or folder appears whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vireid.types import VireidError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path in the target's folder for a new file or folder, which replaces the target on success.

    Raises:
        VireidError: no space left, or no permission; nothing is left behind.
    """
    work: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        yield work / target.name
        if target.is_dir():
            target.replace(work / "replaced")
        (work / target.name).replace(target)
    except OSError as error:
        raise disk_error(error, target) from error
    except Exception as error:  # safetensors reports a full disk with a type of its own
        if "No space left" in str(error) or "StorageFull" in str(error):
            raise disk_error(OSError(errno.ENOSPC, ""), target) from error
        raise
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def resumable_folder(target: Path, key: str) -> Iterator[Path]:
    """Yield a hidden folder beside the target, to be filled. On success it becomes the target; otherwise it stays, and
    the next attempt with the same ``key`` resumes from it.

    Raises:
        VireidError: no space left, no permission, or another process is filling the folder.
    """
    place = target.absolute()
    work = place.with_name(f".{place.name}.{key}")
    try:
        work.mkdir(parents=True, exist_ok=True)
        handle = os.open(work, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends, however it ends
            yield work
            work.replace(place)
        finally:
            os.close(handle)
    except BlockingIOError:
        raise VireidError(
            f"{target}: another process is writing it; wait until it ends or choose another folder"
        ) from None
    except OSError as error:
        raise disk_error(error, target) from error


def disk_error(error: OSError, target: Path) -> VireidError:
    """Return the one-line error for a failed write, with the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return VireidError(f"{target}: no space left on the device; free some or write elsewhere")
    return VireidError(f"{target}: cannot write ({error.strerror or error}); choose a folder you may write to")


def write_json(target: Path, content: dict[str, Any]) -> None:
    """Write indented JSON atomically; raise ValueError for NaN and infinity, which are not JSON."""
    with atomic_path(target) as path:
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        VireidError: missing or not a JSON object; ``expected`` describes the file that was expected.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:  # [[[[...
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise VireidError(f"{path}: {reason}; expected {expected}") from None
    if not isinstance(content, dict):
        raise VireidError(f"{path}: expected {expected}, got a JSON {type(content).__name__}")
    return content
