"""Cores, memory and disk space of a process, on Linux and macOS (which lacks some of Linux's calls)."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def usable_cores() -> int:
    """Return the number of cores that this process may use; all of them if the system does not say."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def peak_memory() -> int:
    """Return the peak memory of this process in bytes; ``ru_maxrss``, all macOS has, includes the parent's peak."""
    if _STATUS.exists():
        return (
            next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM")) * 1024
        )
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def reserve(descriptor: int, size: int) -> None:
    """Reserve ``size`` bytes on disk for an open file; where the system cannot, only set its size.

    Raises:
        OSError: no space left.
    """
    allocate = getattr(os, "posix_fallocate", None)
    if allocate:
        allocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
