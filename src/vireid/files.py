"""Atomic writes: a file or folder appears whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vireid.types import VireidError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path in the target's folder to write a file or make a folder at; it replaces the target on success.

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


def disk_error(error: OSError, target: Path) -> VireidError:
    """One line for a failed write, with the way out where there is one."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return VireidError(f"{target}: no space left on the device; free some or write elsewhere")
    return VireidError(f"{target}: cannot write ({error.strerror or error}); choose a folder you may write to")


def write_json(target: Path, content: dict[str, Any]) -> None:
    """Write indented JSON atomically; NaN and infinity are refused (ValueError), they are not JSON."""
    with atomic_path(target) as path:
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        VireidError: missing or not a JSON object; ``expected`` says what the file should have been.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise VireidError(f"{path}: {reason}; expected {expected}") from None
    if not isinstance(content, dict):
        raise VireidError(f"{path}: expected {expected}, got a JSON {type(content).__name__}")
    return content
