"""Shared by all layouts: read folders and list files into records, and report problems in one way.

A loader does not raise on the first flaw; it passes each `Problem` to a ``notify`` function and continues
without the entry. `open_dataset` passes `refuse`, which raises, and ``vireid data check`` passes
``list.append``, so both apply the same rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vireid.types import Dataset, Modality, Sample, VireidError

Kind = Literal["missing", "unreadable", "duplicated", "mislabelled"]

IGNORED_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Problem:
    """One flaw of a data set: its kind, the file, folder or ``list:line`` it sits in, and what is wrong."""

    kind: Kind
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


Notify = Callable[[Problem], None]


def refuse(problem: Problem) -> None:
    """Raise `VireidError` with the problem in one line."""
    raise VireidError(str(problem))


@dataclass(frozen=True)
class Line:
    """One entry ``path label`` of a list file; ``where`` is ``list:line`` for messages."""

    where: str
    path: Path
    parts: tuple[str, ...]
    label: int


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Visible entries of a folder sorted by name; none for a folder that does not exist."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise VireidError(f"{folder}: expected a readable folder: {error.strerror}") from error
    return sorted(entries, key=lambda entry: entry.name)


def subfolders(folder: Path) -> list[Path]:
    """Folders inside ``folder``, sorted by name, hidden ones left out."""
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir()]


def image_files(folder: Path) -> list[Path]:
    """Files inside ``folder`` sorted by name, without hidden ones and those of Windows (Thumbs.db, desktop.ini).

    All other files stay: if one is not an image, reading it reports the mistake.
    """
    return [
        Path(entry.path) for entry in _entries(folder) if entry.is_file() and entry.name.lower() not in IGNORED_FILES
    ]


def is_file(path: Path) -> bool:
    """Whether the file exists; False for a name that is too long for a file."""
    try:
        return path.is_file()
    except OSError:
        return False


def numbered(name: str) -> int | None:
    """The number in a folder name such as ``0012``, None for any other name.

    >>> numbered("0012"), numbered("12b")
    (12, None)
    """
    return int(name) if name.isascii() and name.isdigit() else None


def read_lines(path: Path, notify: Notify) -> list[tuple[str, str]]:
    """Pairs (``list:line``, text) of the lines that are not blank; a missing file is reported."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        notify(Problem("missing", str(path), "this list file is part of the layout; restore it from the data set"))
        return []
    except (OSError, UnicodeDecodeError) as error:
        notify(Problem("unreadable", str(path), f"expected a text file ({error})"))
        return []
    return [(f"{path}:{n}", line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]


def read_identities(path: Path, notify: Notify) -> list[int]:
    """Identities of a file of comma-separated numbers, such as SYSU-MM01's ``train_id.txt``, ascending."""
    identities: set[int] = set()
    for where, text in read_lines(path, notify):
        for word in text.strip(",").split(","):
            identity = numbered(word.strip())
            if identity is None:
                notify(
                    Problem(
                        "unreadable",
                        where,
                        f"expected comma-separated identity numbers, got {word.strip()!r}",
                    )
                )
            elif identity in identities:
                notify(Problem("duplicated", where, f"identity {identity} is listed twice; remove one"))
            else:
                identities.add(identity)
    return sorted(identities)


def read_labelled(root: Path, path: Path, folder: str, notify: Notify) -> list[Line]:
    """Entries ``relative/path label`` of a RegDB or LLCM list whose images lie in ``ROOT/folder``.

    Reported and left out: bad lines, paths outside ``folder``, images listed twice, images that do not exist.
    """
    lines: list[Line] = []
    seen: set[tuple[str, ...]] = set()
    for where, text in read_lines(path, notify):
        relative, _, label = text.rpartition(" ")
        parts = tuple(part for part in relative.strip().split("/") if part not in ("", "."))
        if len(parts) < 2 or ".." in parts or numbered(label) is None:
            notify(Problem("unreadable", where, f"expected 'path label' with a whole-number label, got {text[:80]!r}"))
        elif parts[0] != folder:
            notify(Problem("mislabelled", where, f"expected an image in {folder}/, got {relative}"))
        elif parts in seen:
            notify(Problem("duplicated", where, f"{relative} is listed twice; remove one line"))
        elif not is_file(image := root.joinpath(*parts)):
            notify(Problem("missing", where, f"{relative} is listed but does not exist below {root}"))
        else:
            lines.append(Line(where, image, parts, int(label)))
        seen.add(parts)
    return lines


class LabelColumn:
    """Checks that the label column of a part's lists and the identity folders agree."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._identity_of: dict[int, int] = {}
        self._label_of: dict[int, int] = {}

    def check(self, line: Line, identity: int) -> None:
        """Report the line if its label belonged to another identity before, or its identity had another label."""
        first = self._identity_of.setdefault(line.label, identity)
        label = self._label_of.setdefault(identity, line.label)
        if first != identity:
            what = f"label {line.label} stands for identity {first} elsewhere, the folder says {identity}"
        elif label != line.label:
            what = f"identity {identity} has label {label} elsewhere, this line says {line.label}"
        else:
            return
        self._notify(Problem("mislabelled", line.where, what))


def one_sided(samples: Iterable[Sample]) -> list[tuple[Sample, Modality]]:
    """For every identity seen in one modality only: its first sample and the modality that is missing."""
    first: dict[int, Sample] = {}
    both: set[int] = set()
    for sample in samples:
        if first.setdefault(sample.identity, sample).modality != sample.modality:
            both.add(sample.identity)
    return [(first[i], first[i].modality.other) for i in sorted(first.keys() - both)]


def check_split(dataset: Dataset, notify: Notify, *, either: bool = False) -> None:
    """Report identities in both parts, and training identities of one modality only.

    Args:
        either: whether the layout may hold training images of only one modality.
    """

    def spelled(sample: Sample) -> str:
        return str(sample.identity) if dataset.names is None else dataset.identity_name(sample)

    tested = {s.identity for s in dataset.test}
    shared = {s.identity: s for s in dataset.train if s.identity in tested}
    for identity in sorted(shared):
        what = f"identity {spelled(shared[identity])} is in the training and the test part"
        notify(Problem("mislabelled", str(dataset.source), what))
    if either and len({s.modality for s in dataset.train}) < 2:
        return
    for sample, missing in one_sided(dataset.train):
        what = f"training identity {spelled(sample)} has no {missing} image; training needs both modalities"
        notify(Problem("missing", str(dataset.labels or sample.path.parent), what))
