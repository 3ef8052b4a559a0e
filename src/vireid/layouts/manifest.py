"""A CSV file ``path,identity,camera,modality,split`` that lists the images of a set with any folder structure.

Paths are relative to the file and stay below its folder. The file is not trusted: every line is checked.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vireid.layouts.listing import Notify, Problem, check_split, is_file
from vireid.layouts.spec import (
    INFRARED_TO_INFRARED,
    INFRARED_TO_VISIBLE,
    VISIBLE_TO_INFRARED,
    VISIBLE_TO_VISIBLE,
    LayoutSpec,
    MatchRule,
)
from vireid.types import Dataset, Modality, Sample

COLUMNS = ("path", "identity", "camera", "modality", "split")
SPLITS = ("train", "test", "query", "gallery")
MAX_LINE = 8_192
"""Maximum bytes of a line; paths have at most 4,096."""
MAX_ROWS = 10_000_000
MAX_CAMERA = 1_000_000

Row = dict[str, str]


def load(root: Path, trial: int, notify: Notify) -> Dataset:
    """Read the file ``root``. Identities may have any names; they are numbered from 0 in sorted order.

    A line with ``query`` or ``gallery`` is a test image for that use only; one with ``test`` is both. The two forms
    cannot be mixed. An empty camera is 1 for visible and 2 for infrared.
    """
    rows = [(where, row) for where, row in _rows(root, notify) if _sound(where, row, notify)]
    identities = {name: number for number, name in enumerate(sorted({row["identity"] for _, row in rows}))}
    parts: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for where, row in _once(rows, notify):
        path = root.parent / row["path"]
        if not is_file(path):
            notify(Problem("missing", where, f"{row['path']!r} is listed but does not exist below {root.parent}"))
            continue
        modality = Modality[row["modality"].upper()]
        camera = int(row["camera"]) if row["camera"] else 1 + modality
        parts[row["split"]].append(Sample(path, identities[row["identity"]], camera, modality))
    train, test, query, gallery = (sorted(part, key=_order) for part in parts.values())
    _check_parts(root, parts, notify)
    dataset = Dataset(
        "manifest",
        root.parent,
        tuple(train),
        tuple(query + gallery + test),
        queries=tuple(range(len(query))) if query else None,
        labels=root,
        names={number: name for name, number in identities.items()},
    )
    check_split(dataset, notify, either=True)
    return dataset


def _check_parts(root: Path, parts: Mapping[str, Sequence[Sample]], notify: Notify) -> None:
    """Report a test part that mixes both forms, or that lacks queries or a gallery."""
    given = [split for split in ("query", "gallery") if parts[split]]
    if parts["test"] and given:
        what = "has test lines and query or gallery lines; expected test alone, or query and gallery"
        notify(Problem("mislabelled", str(root), what))
    if len(given) == 1:
        other = "gallery" if given == ["query"] else "query"
        notify(Problem("missing", str(root), f"has {given[0]} lines and no {other} lines; expected both"))


def _rows(file: Path, notify: Notify) -> Iterator[tuple[str, Row]]:
    """Pairs (``file:line``, cells by column) of the lines below the header that have as many cells as the header."""
    names: list[str] = []
    for where, cells in _cells(file, notify):
        if not names:
            names = cells
            if sorted(names) != sorted(COLUMNS):
                got = ",".join(names)[:80]
                notify(Problem("unreadable", where, f"expected the header {','.join(COLUMNS)}, got {got!r}"))
                return
        elif len(cells) != len(names):
            what = f"expected {len(names)} cells, got {len(cells)}; quote a cell that holds a comma"
            notify(Problem("unreadable", where, what))
        else:
            yield where, dict(zip(names, cells, strict=True))
    if not names:
        notify(Problem("unreadable", str(file), f"expected the header {','.join(COLUMNS)}, got an empty file"))


def _cells(file: Path, notify: Notify) -> Iterator[tuple[str, list[str]]]:
    """Pairs (``file:line``, cells) of the lines that are not blank; a line is a row, even with quotes in it."""
    try:
        with file.open("rb") as lines:
            number = 0
            while raw := lines.readline(MAX_LINE + 1):
                number += 1
                where = f"{file}:{number}"
                if len(raw) > MAX_LINE or number > MAX_ROWS:
                    what = f"expected lines of at most {MAX_LINE:,} bytes and at most {MAX_ROWS:,} of them"
                    notify(Problem("unreadable", where, f"{what}; is this a CSV file?"))
                    return
                problem, cells = _split(raw)
                if problem:
                    notify(Problem("unreadable", where, problem))
                elif cells:
                    yield where, cells
    except OSError as error:
        notify(Problem("unreadable", str(file), f"cannot read this list: {error.strerror}"))


def _split(raw: bytes) -> tuple[str, list[str]]:
    """The error in a line ("" if none), and its cells."""
    try:
        text = raw.decode("utf-8-sig").strip()
        if "\0" in text:
            return "expected text, got a NUL byte", []
        cells = next(csv.reader([text], strict=True), [])
    except UnicodeDecodeError:
        return "expected text in UTF-8", []
    except csv.Error as error:
        return f"expected comma-separated cells ({error})", []
    return "", [cell.strip() for cell in cells]


def _sound(where: str, row: Row, notify: Notify) -> bool:
    """Whether the cells of a line are valid; the first invalid one is reported."""
    path, camera = PurePosixPath(row["path"]), row["camera"]
    number = int(camera) if camera.isascii() and camera.isdigit() and len(camera) < 8 else -1
    if not row["path"] or path.is_absolute() or ".." in path.parts:
        what = "expected a path below the folder of this file, without .."
        notify(Problem("unreadable", where, f"path: {what}, got {row['path'][:80]!r}"))
    elif not row["identity"] or not row["identity"].isprintable():
        what = f"identity: expected a name of printable characters, got {row['identity'][:80]!r}"
        notify(Problem("unreadable", where, what))
    elif camera and not 0 <= number <= MAX_CAMERA:
        what = f"camera: expected a whole number up to {MAX_CAMERA:,} or nothing, got {camera[:80]!r}"
        notify(Problem("unreadable", where, what))
    elif row["modality"].lower() not in map(str, Modality):
        notify(Problem("unreadable", where, f"modality: expected visible or infrared, got {row['modality'][:80]!r}"))
    elif row["split"] not in SPLITS:
        notify(Problem("unreadable", where, f"split: expected {', '.join(SPLITS)}, got {row['split'][:80]!r}"))
    else:
        return True
    return False


def _once(rows: list[tuple[str, Row]], notify: Notify) -> Iterator[tuple[str, Row]]:
    """The lines without those whose image was listed before."""
    seen: dict[PurePosixPath, str] = {}
    for where, row in rows:
        path = PurePosixPath(row["path"])
        if path in seen:
            what = f"{row['path']!r} is listed twice, first in line {seen[path].rpartition(':')[2]}; remove one line"
            notify(Problem("duplicated", where, what))
        else:
            seen[path] = where
            yield where, row


def _order(sample: Sample) -> tuple[int, int, int, str]:
    return sample.modality, sample.identity, sample.camera, str(sample.path)


SEARCHES = tuple(
    replace(search, official=False)
    for search in (INFRARED_TO_VISIBLE, VISIBLE_TO_INFRARED, VISIBLE_TO_VISIBLE, INFRARED_TO_INFRARED)
)

MANIFEST = LayoutSpec(
    name="manifest",
    title="a CSV manifest",
    load=load,
    suffix=".csv",
    # If cameras are given, images of the query's identity and camera may be the next frames of the same walk.
    rule=MatchRule("manifest", skips_same_camera=True),
    searches=SEARCHES,
    columns=SEARCHES[:2],
)
