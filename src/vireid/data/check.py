"""``vireid data check PATH``: every flaw of a data set in one table, before it costs a training run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.data.digests import digest
from vireid.data.layouts import LOADERS, MARKERS, recognise, synthetic_record
from vireid.data.listing import Problem, image_files, one_sided, subfolders
from vireid.data.regdb import TRIALS
from vireid.images import decode_image, read_bytes
from vireid.parallel import Progress, in_threads
from vireid.synthetic.standards import checksum, standard_of
from vireid.types import Dataset, Layout, Modality, Sample, VireidError

PUBLISHED: dict[Layout, dict[str, int]] = {
    "sysu": {
        "training identities": 395,
        "test identities": 96,
        "cameras": 6,
        "training images, visible": 22_258,
        "training images, infrared": 11_909,
        "test images, visible": 6_775,
        "test images, infrared": 3_803,
    },
    "regdb": {
        "training identities": 206,
        "test identities": 206,
        "cameras": 2,
        "training images, visible": 2_060,
        "training images, infrared": 2_060,
        "test images, visible": 2_060,
        "test images, infrared": 2_060,
    },
    "llcm": {"training identities": 713, "test identities": 351, "cameras": 9, "images": 46_767},
    "folder": {},
}
"""Sizes in the data sets' papers; RegDB's are those of one trial."""

COLOURED = 12.0
GREY = 2.0
MAJORITY = 0.8
"""Colour of an image: mean over pixels of the largest minus the smallest channel, in levels of 0-255. An
infrared image above `COLOURED` is in the wrong folder if 80 % of the infrared images are below `GREY`; a
visible image below 0.5 (no colour but rounding) if 80 % of the visible ones are above `GREY`. Sets whose
infrared images are drawn in false colours, or whose visible ones are grey, are thus left alone."""


@dataclass(frozen=True)
class Count:
    """One line of the size table; ``published`` is None where no paper gives a number."""

    name: str
    found: int
    published: int | None


@dataclass(frozen=True)
class Report:
    """What `check` found. A data set without ``problems`` is in order; ``notes`` are no flaws."""

    root: Path
    layout: Layout
    counts: tuple[Count, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class _Opened:
    """What one opened image tells: its content's hash and its colour, or why it cannot be read."""

    digest: bytes
    colour: float
    error: str | None = None


def check(root: Path, workers: int | None = None, progress: Progress | None = None) -> Report:
    """Read all lists of a data set (all ten trials of RegDB) and open every image, also those in no list.

    Rows of kind *missing* (lists, images, identities, modalities, fewer than published), *unreadable*
    (images, list lines), *duplicated* (the same bytes or line twice) and *mislabelled* (an identity in both
    parts, a label that contradicts the folder, one image under two identities or modalities, colour among
    infrared images). A tree with a ``synthetic.json`` is a rendered one and is not held to the published
    sizes, but to the checksum of the standard set that it claims to be. Raises `VireidError` where the layout is not
    recognised.
    """
    root = Path(root)
    layout = recognise(root)
    problems: list[Problem] = []
    trials = TRIALS if layout == "regdb" else TRIALS[:1]
    datasets = [LOADERS[layout](root, trial, problems.append) for trial in trials]
    samples = list({s.path: s for data in datasets for s in (*data.train, *data.test)}.values())
    unlisted = _unlisted(root, layout, {s.path for s in samples})
    opened = in_threads(_open, samples + unlisted, workers, progress)
    readable = []
    for position, (sample, image) in enumerate(zip(samples + unlisted, opened, strict=True)):
        if image.error:
            problems.append(Problem("unreadable", str(sample.path), image.error))
        elif position < len(samples):
            readable.append((sample, image))
    problems += _duplicates((sample, image.digest) for sample, image in readable)
    problems += _wrong_folder([(sample, image.colour) for sample, image in readable])
    record = synthetic_record(root)
    counts = _counts(datasets[0], PUBLISHED[layout] if record is None else {})
    notes = []
    if record is not None:
        notes.append("rendered data (synthetic.json): not compared with the published sizes")
        _compare_with_standard(root, record, problems, notes)
    if unlisted:
        notes.append(f"{len(unlisted)} images are in no list and are not used, the first {unlisted[0].path}")
    for count in counts:
        if count.published is not None and count.found < count.published:
            what = f"{count.name}: {count.found} of the {count.published} published"
            problems.append(Problem("missing", str(root), what))
        elif count.published is not None and count.found > count.published:
            notes.append(f"{count.name}: {count.found}, more than the {count.published} published")
    if unmatched := len(one_sided(datasets[0].test)):
        notes.append(f"{unmatched} test identities have images of one modality only and cannot be matched")
    return Report(root, layout, counts, tuple(dict.fromkeys(problems)), tuple(notes))


def _compare_with_standard(root: Path, record: dict[str, Any], problems: list[Problem], notes: list[str]) -> None:
    """Say whether a rendered tree with the settings of a standard set is that set, byte for byte."""
    found = standard_of(record)
    if found is None:
        return
    if checksum(root) == found.checksum:
        notes.append(f"this is {found.name}: its listing has the recorded checksum")
    else:
        what = f"made with the settings of {found.name}, but its files are others; numbers on it are not {found.name}'s"
        problems.append(Problem("mislabelled", str(root / "synthetic.json"), what))


def _unlisted(root: Path, layout: Layout, listed: set[Path]) -> list[Sample]:
    """Images below the layout's folders that no list names; their labels mean nothing."""
    folders = [root / name for name in (*MARKERS[layout], *(("test_vis", "test_nir") if layout == "llcm" else ()))]
    for folder in folders:  # grows while it is walked
        folders += subfolders(folder)
    paths = (path for folder in folders for path in image_files(folder))
    return [Sample(path, -1, -1, Modality.VISIBLE) for path in paths if path not in listed]


def _open(sample: Sample) -> _Opened:
    try:
        data = read_bytes(sample.path)
        pixels = decode_image(data, sample.path)[::2, ::2].astype(np.int16)
    except VireidError as error:
        return _Opened(b"", 0.0, str(error).removeprefix(f"{sample.path}: "))
    return _Opened(digest(data), float((pixels.max(axis=2) - pixels.min(axis=2)).mean()))


def _duplicates(images: Iterable[tuple[Sample, bytes]]) -> list[Problem]:
    """One row per image whose bytes were met before: under the same label a duplicate, else mislabelled."""
    first: dict[bytes, Sample] = {}
    problems = []
    for sample, content in images:
        other = first.setdefault(content, sample)
        if other is sample:
            continue
        if other.identity != sample.identity:
            names = sample.path.parent.name, other.path.parent.name
            what = f"same image as {other.path}, but identity {names[0]}, not {names[1]}"
            problems.append(Problem("mislabelled", str(sample.path), what))
        elif other.modality != sample.modality:
            what = f"same image as {other.path}, but {sample.modality}, not {other.modality}"
            problems.append(Problem("mislabelled", str(sample.path), what))
        else:
            problems.append(Problem("duplicated", str(sample.path), f"same image as {other.path}"))
    return problems


def _wrong_folder(images: list[tuple[Sample, float]]) -> list[Problem]:
    """Images whose colour contradicts their modality, where the others' colour makes that telling."""
    colours = {m: np.array([c for s, c in images if s.modality == m] or [GREY]) for m in Modality}
    infrared_is_grey = (colours[Modality.INFRARED] < GREY).mean() >= MAJORITY
    visible_is_coloured = (colours[Modality.VISIBLE] > GREY).mean() >= MAJORITY
    problems = []
    for sample, colour in images:
        if sample.modality == Modality.INFRARED and infrared_is_grey and colour > COLOURED:
            what = "a colour image among grey infrared ones; is it a visible image?"
        elif sample.modality == Modality.VISIBLE and visible_is_coloured and colour < 0.5:
            what = "a grey image among coloured visible ones; is it an infrared image?"
        else:
            continue
        problems.append(Problem("mislabelled", str(sample.path), what))
    return problems


def _counts(dataset: Dataset, published: dict[str, int]) -> tuple[Count, ...]:
    found = Counter[str]()
    parts = {"training": dataset.train, "test": dataset.test}
    if dataset.layout == "folder":  # one and the same, because this layout has no lists
        parts = {"all": dataset.test}
    for part, samples in parts.items():
        found[f"{part} identities"] = len({s.identity for s in samples})
        for modality in Modality:
            found[f"{part} images, {modality}"] = sum(s.modality == modality for s in samples)
    everything = [sample for samples in parts.values() for sample in samples]
    found["cameras"] = len({sample.camera for sample in everything})
    found["images"] = len(everything)
    return tuple(Count(name, number, published.get(name)) for name, number in found.items())
