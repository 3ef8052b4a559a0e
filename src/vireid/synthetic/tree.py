"""Whole data sets on disk, laid out like the real ones."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from vireid.files import resumable_folder
from vireid.synthetic.attributes import Labels, label_rows, label_table
from vireid.synthetic.plans import Shot, plan
from vireid.synthetic.settings import SyntheticSet
from vireid.synthetic.workers import PARTIAL, RenderJob, mask_path, run
from vireid.types import VireidError

RECORD = "synthetic.json"
DATE = 1_577_836_800  # of all files and folders, 2020-01-01: the time of writing would reveal who is in them


def write_tree(root: Path, settings: SyntheticSet, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a synthetic set to ``root``; the same settings give the same bytes.

    Besides the images and lists of its layout, a tree contains ``synthetic.json``, which records the settings,
    ``attributes.csv``, which describes every image (see `vireid.synthetic.attributes`), and, if the settings ask
    for them, ``masks/PATH.png``, white where the person is visible. ``progress`` is called with (images written, all
    images).

    The tree appears at ``root`` once it is complete. An interrupted call leaves its work in a hidden folder beside
    ``root``, and the next call with the same settings resumes there. Raises ``VireidError`` if ``root`` is in use or
    cannot be written.
    """
    root = Path(root)
    if root.is_file() or (root.is_dir() and any(root.iterdir())):
        raise VireidError(f"{root}: already in use; give a new or an empty folder")
    record = json.dumps(settings.record(), indent=2) + "\n"
    work = plan(settings)
    with resumable_folder(root, hashlib.sha256(record.encode()).hexdigest()[:12]) as draft:
        labels = _render(draft, settings, work.shots, progress)
        for name, content in {**work.files, RECORD: record.encode(), "attributes.csv": label_table(labels)}.items():
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_bytes(content)
        for path in (*draft.rglob("*"), draft):
            os.utime(path, (DATE, DATE))


def _render(
    draft: Path, settings: SyntheticSet, shots: Sequence[Shot], progress: Callable[[int, int], None] | None
) -> list[Labels]:
    """Render the images that do not exist yet, and return the lines that describe all of them."""
    partial = draft / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed process
    names = [shot.path for shot in shots]
    for folder in {(draft / name).parent for name in [*names, *(map(mask_path, names) if settings.masks else ())]}:
        folder.mkdir(parents=True, exist_ok=True)
    partial.mkdir()
    todo = tuple(shot for shot in shots if not (draft / shot.path).exists())
    done = len(shots) - len(todo)
    size = settings.height, settings.width
    rows = label_rows(settings, shots)
    labels: list[Labels] = []
    with closing(run(RenderJob(draft, todo, settings.seed, settings.difficulty, *size, settings.masks))) as written:
        for count in written:
            labels += islice(rows, count)  # in this process, while others render
            done += count
            if progress is not None:
                progress(done, len(shots))
    partial.rmdir()
    return [*labels, *rows]
