"""Standard sets: named sets with the same settings and bytes for everybody who reports numbers on them.

``standards/NAME.json`` contains the settings and the checksum of the file listing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vireid.files import write_json
from vireid.images import read_bytes
from vireid.parallel import in_threads
from vireid.synthetic.settings import SyntheticSet, from_record
from vireid.synthetic.tree import RECORD, write_tree
from vireid.types import VireidError

_FOLDER = resources.files("vireid.synthetic") / "standards"


@dataclass(frozen=True)
class Standard:
    """A named set: its settings and the `checksum` of its tree."""

    name: str
    settings: SyntheticSet
    checksum: str


def standards() -> list[str]:
    """Return the names of the standard sets."""
    return sorted(entry.name.removesuffix(".json") for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))


def standard(name: str) -> Standard:
    """Return a standard set; raise ``VireidError`` for an unknown name."""
    if name not in standards():
        raise VireidError(f"standard: expected {' or '.join(standards())}, got {name}")
    content = json.loads((_FOLDER / f"{name}.json").read_text())
    return Standard(name, from_record(content["settings"]), content["checksum"])


def standard_of(record: dict[str, Any]) -> Standard | None:
    """Return the standard set with the settings in a tree's record, if there is one."""
    return next((found for found in map(standard, standards()) if found.settings.record() == record), None)


def checksum(root: Path) -> str:
    """Return the checksum of a tree's listing: SHA-256 over the sorted lines ``SHA-256  PATH`` of all its files except
    hidden ones and the record.

    In a shell: ``find * -type f ! -name synthetic.json -exec sha256sum {} + | LC_ALL=C sort | sha256sum``. Raises
    ``VireidError`` that names a file that cannot be read.
    """
    paths = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    named = [path for path in paths if path != RECORD and not path.startswith(".") and "/." not in path]
    lines = in_threads(lambda path: f"{hashlib.sha256(read_bytes(root / path)).hexdigest()}  {path}\n", named)
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def write_standard(root: Path, name: str, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a standard set to ``root`` and compare it with its checksum.

    Raises ``VireidError`` as `write_tree` does, for an unknown name, and if the files differ from the standard; the
    files are then kept.
    """
    wanted = standard(name)
    write_tree(root, wanted.settings, progress)
    if checksum(root) != wanted.checksum:
        raise VireidError(
            f"{root}: written, but differs from {name}, so numbers on it cannot be compared with those of others; use "
            "the versions of Pillow and NumPy named in docs/synthetic.md"
        )


def record_standard(target: Path, root: Path, settings: SyntheticSet) -> None:
    """Write the file of a standard set from its tree at ``root``; needed when the version of the pictures changes."""
    write_json(target, {"settings": settings.record(), "checksum": checksum(root)})
