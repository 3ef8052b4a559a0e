"""Plain folders, for any two-modality retrieval set: ``ROOT/{visible,infrared}/{identity}/*``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from vireid.layouts.listing import Notify, Problem, image_files, subfolders
from vireid.layouts.spec import INFRARED_TO_VISIBLE, VISIBLE_TO_INFRARED, LayoutSpec, MatchRule
from vireid.layouts.tree import Order, Place, Tree
from vireid.types import Dataset, Modality, Sample

FOLDERS = {Modality.VISIBLE: "visible", Modality.INFRARED: "infrared"}
IMAGES = 4  # of a person in each modality
_CAMERA = re.compile(r"cam(\d+)_")


def load(root: Path, trial: int, notify: Notify) -> Dataset:
    """Read both folders. Identities may have any names; they are numbered from 0 in sorted order.

    A file name that begins with ``camN_`` gives the camera, otherwise it is 1 for visible and 2 for infrared.
    There are no lists, so all samples are in ``train`` and in ``test``; training splits the identities.
    An identity may lack a modality: training refuses it, retrieval finds no match.
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


def tree(order: Order) -> Tree:
    """``{visible,infrared}/{identity}/cam{1,2}_{image}.jpg``; no lists."""
    return Tree(
        [
            Place(f"{folder}/{identity:04d}/cam{1 + modality}_{image:04d}.jpg", identity, 1 + modality, image, modality)
            for modality, folder in FOLDERS.items()
            for identity in range(1, order.identities + 1)
            for image in range(1, (order.images or IMAGES) + 1)
        ]
    )


FOLDER = LayoutSpec(
    name="folder",
    title="plain folders",
    load=load,
    markers=tuple(FOLDERS.values()),
    lists=False,
    rule=MatchRule("folder"),
    searches=(replace(INFRARED_TO_VISIBLE, official=False), replace(VISIBLE_TO_INFRARED, official=False)),
    tree=tree,
    people=(100, 0),
)
