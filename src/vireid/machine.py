"""What a process may use of its machine, on Linux and on macOS, which lacks some of Linux's calls."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def usable_cores() -> int:
    """Return the processor cores that this process may use; where the system does not say, all there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def peak_memory() -> int:
    """Return the most bytes that this process has held; ``ru_maxrss``, all macOS has, counts from the parent's peak."""
    if _STATUS.exists():
        return (
            next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM")) * 1024
        )
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def reserve(descriptor: int, size: int) -> None:
    """Take ``size`` bytes of the disk for an open file now; where the system cannot, set its size.

    Raises:
        OSError: no space left.
    """
    allocate = getattr(os, "posix_fallocate", None)
    if allocate:
        allocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
