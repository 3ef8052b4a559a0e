"""Small rendered sets for the tests that need one on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from vireid.synthetic import SyntheticSet, synthetic_set


def small(like: str = "sysu", identities: int = 4, **settings: Any) -> SyntheticSet:
    """Settings of a set of two tiny images per person and camera."""
    return synthetic_set(like, identities, **{"images": 2, "height": 24, "width": 12, **settings})


SIX = small(identities=6, seed=5, test_identities=2)


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of every file below ``root``, by its path there."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
