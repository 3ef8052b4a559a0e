"""``vireid data check PATH``: every flaw of a data set in one table, before it costs a training run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vireid.data.digests import digest
from vireid.data.layouts import recognise, record_of, synthetic_record
from vireid.images import decode_image, read_bytes
from vireid.layouts import LayoutSpec, find_layout
from vireid.layouts.listing import Problem, image_files, one_sided, subfolders
from vireid.parallel import Progress, in_threads
from vireid.synthetic.standards import checksum, standard_of
from vireid.types import Dataset, Modality, Sample, VireidError

COLOURED = 12.0
GREY = 2.0
MAJORITY = 0.8
"""Colour of an image: mean over pixels of the largest minus the smallest channel, in levels of 0-255. An
infrared image above `COLOURED` is in the wrong folder if 80 % of the infrared images are below `GREY`; a
visible image below 0.5 (no colour but rounding) if 80 % of the visible ones are above `GREY`. Sets whose
infrared images have false colours, or whose visible ones are grey, are thus left alone."""


@dataclass(frozen=True)
class Count:
    """One line of the size table; ``published`` is None where no paper gives a number."""

    name: str
    found: int
    published: int | None


@dataclass(frozen=True)
class Report:
    """What `check` found. A data set without ``problems`` is in order; ``notes`` are not flaws."""

    root: Path
    layout: str
    counts: tuple[Count, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class _Opened:
    """One opened image: the hash of its content and its colour, or why it cannot be read."""

    digest: bytes
    colour: float
    error: str | None = None


def check(
    root: Path, workers: int | None = None, progress: Progress | None = None, layout: str | None = None
) -> Report:
    """Read all lists of a data set (all ten trials of RegDB) and open every image, also those in no list.

    Rows of kind *missing* (lists, images, identities, modalities, fewer than published), *unreadable*
    (images, list lines), *duplicated* (the same bytes or line twice) and *mislabelled* (an identity in both
    parts, a label that contradicts the folder, one image under two identities or modalities, colour among
    infrared images). A tree with a ``synthetic.json`` is rendered: it is not compared with the published
    sizes, but with the checksum of the standard set that it claims to be. ``layout`` as for `open_dataset`. Raises
    `VireidError` if the layout is not recognised.
    """
    root = Path(root)
    name = recognise(root) if layout is None else layout
    spec = find_layout(name)
    problems: list[Problem] = []
    datasets = [spec.load(root, trial, problems.append) for trial in range(1, max(1, spec.splits) + 1)]
    first = datasets[0]
    samples = list({s.path: s for data in datasets for s in (*data.train, *data.test)}.values())
    unlisted = _unlisted(root, spec, {s.path for s in samples})
    problems += _images(first, samples, unlisted, workers, progress)
    counts = _counts(first, spec)
    notes = []
    if record_of(first) is not None:
        notes.append("rendered data (synthetic.json): not compared with the published sizes")
        counts = tuple(replace(count, published=None) for count in counts)
    if (record := synthetic_record(root)) is not None:
        _compare_with_standard(root, record, problems, notes)
    if unlisted:
        notes.append(f"{len(unlisted)} images are in no list and are not used, the first {unlisted[0].path}")
    _compare_sizes(root, counts, problems, notes)
    unmatched = len(one_sided(first.test))
    if unmatched and len({sample.modality for sample in first.test}) > 1:
        notes.append(f"{unmatched} test identities have images of one modality only and cannot be matched")
    return Report(root, name, counts, tuple(dict.fromkeys(problems)), tuple(notes))


def _images(
    dataset: Dataset, samples: list[Sample], unlisted: list[Sample], workers: int | None, progress: Progress | None
) -> list[Problem]:
    """Problems of the images themselves, including the unlisted ones."""
    opened = in_threads(_open, samples + unlisted, workers, progress)
    readable, problems = [], []
    for position, (sample, image) in enumerate(zip(samples + unlisted, opened, strict=True)):
        if image.error:
            problems.append(Problem("unreadable", str(sample.path), image.error))
        elif position < len(samples):
            readable.append((sample, image))
    problems += _duplicates(dataset, ((sample, image.digest) for sample, image in readable))
    return problems + _wrong_folder([(sample, image.colour) for sample, image in readable])


def _compare_sizes(root: Path, counts: Iterable[Count], problems: list[Problem], notes: list[str]) -> None:
    for count in counts:
        if count.published is not None and count.found < count.published:
            what = f"{count.name}: {count.found} of the {count.published} published"
            problems.append(Problem("missing", str(root), what))
        elif count.published is not None and count.found > count.published:
            notes.append(f"{count.name}: {count.found}, more than the {count.published} published")


def _compare_with_standard(root: Path, record: dict[str, Any], problems: list[Problem], notes: list[str]) -> None:
    """Say whether a rendered tree with the settings of a standard set is that set, byte for byte."""
    found = standard_of(record)
    if found is None:
        return
    if checksum(root) == found.checksum:
        notes.append(f"this is {found.name}: its listing has the recorded checksum")
    else:
        what = f"has the settings of {found.name}, but different files; numbers on it are not numbers on {found.name}"
        problems.append(Problem("mislabelled", str(root / "synthetic.json"), what))


def _unlisted(root: Path, layout: LayoutSpec, listed: set[Path]) -> list[Sample]:
    """Images below the layout's folders that no list names; their labels mean nothing."""
    folders = [root / name for name in layout.folders]
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


def _duplicates(dataset: Dataset, images: Iterable[tuple[Sample, bytes]]) -> list[Problem]:
    """One row per image whose bytes occurred before: a duplicate under the same label, otherwise mislabelled."""
    first: dict[bytes, Sample] = {}
    problems = []
    for sample, content in images:
        other = first.setdefault(content, sample)
        if other is sample:
            continue
        if other.identity != sample.identity:
            names = dataset.identity_name(sample), dataset.identity_name(other)
            what = f"same image as {other.path}, but identity {names[0]}, not {names[1]}"
            problems.append(Problem("mislabelled", str(sample.path), what))
        elif other.modality != sample.modality:
            what = f"same image as {other.path}, but {sample.modality}, not {other.modality}"
            problems.append(Problem("mislabelled", str(sample.path), what))
        else:
            problems.append(Problem("duplicated", str(sample.path), f"same image as {other.path}"))
    return problems


def _wrong_folder(images: list[tuple[Sample, float]]) -> list[Problem]:
    """Images whose colour contradicts their modality, in sets where colour separates the modalities."""
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


def _asked(samples: Sequence[Sample], rows: set[int]) -> dict[str, Sequence[Sample]]:
    """The queries, whose people are counted, and the other images: a gallery may hold people without a query."""
    return {
        "query": [sample for row, sample in enumerate(samples) if row in rows],
        "gallery": [sample for row, sample in enumerate(samples) if row not in rows],
    }


def _counts(dataset: Dataset, layout: LayoutSpec) -> tuple[Count, ...]:
    found = Counter[str]()
    modalities = sorted({m for search in layout.searches for m in (search.query, search.gallery)})
    parts: dict[str, Sequence[Sample]] = {"training": dataset.train, "test": dataset.test}
    if not layout.lists:  # then both parts are the same
        parts = {"all": dataset.test}
    for part, samples in parts.items():
        kinds = {part: samples}
        if part == "test" and dataset.queries is not None:
            kinds = _asked(samples, set(dataset.queries))
        found[f"{part} identities"] = len({s.identity for s in next(iter(kinds.values()))})
        for kind, images in kinds.items():
            for modality in modalities:
                found[f"{kind} images, {modality}"] = sum(s.modality == modality for s in images)
    everything = [sample for samples in parts.values() for sample in samples]
    found["cameras"] = len({sample.camera for sample in everything})
    found["images"] = len(everything)
    return tuple(Count(name, number, layout.published.get(name)) for name, number in found.items())
