"""Plain folders, for any two-modality retrieval set: ``ROOT/{visible,infrared}/{identity}/*``."""

from __future__ import annotations

import re
from pathlib import Path

from vireid.data.listing import Notify, Problem, image_files, subfolders
from vireid.types import Dataset, Modality, Sample

FOLDERS = {Modality.VISIBLE: "visible", Modality.INFRARED: "infrared"}
_CAMERA = re.compile(r"cam(\d+)_")


def load(root: Path, notify: Notify) -> Dataset:
    """Read both folders. Identities may have any names; they are numbered from 0 in sorted order.

    A file name that begins with ``camN_`` gives the camera, otherwise it is 1 for visible and 2 for infrared.
    There are no lists, so all samples are in ``train`` and in ``test``; whoever trains splits the identities.
    An identity may lack a modality: training refuses it (`require_both_modalities`), retrieval finds no
    match.
    """
    people: dict[Modality, list[Path]] = {}
    for modality, name in FOLDERS.items():
        people[modality] = subfolders(root / name)
        if not people[modality]:
            what = f"expected one folder of images per identity in {name}/, found none"
            notify(Problem("missing", str(root / name), what))
    names = sorted({person.name for folders in people.values() for person in folders})
    identities = {name: number for number, name in enumerate(names)}
    samples = []
    for modality, folders in people.items():
        for person in folders:
            images = image_files(person)
            if not images:
                notify(Problem("missing", str(person), "this identity's folder has no image; add one or remove it"))
            for path in images:
                camera = _CAMERA.match(path.name)
                number = int(camera[1]) if camera else 1 + modality
                samples.append(Sample(path, identities[person.name], number, modality))
    return Dataset("folder", root, tuple(samples), tuple(samples))
