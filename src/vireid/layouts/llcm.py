"""The LLCM layout (Zhang and Wang, CVPR 2023).

Training images are named by ``ROOT/idx/train_{vis,nir}.txt`` (``path label``); test images are those of the
identities in ``ROOT/idx/test_id.txt`` below ``ROOT/test_{vis,nir}``, or below ``ROOT/{vis,nir}`` where there
is no ``test_*`` folder. Two forms of path are in use and both are read: ``vis/cam3/0012/IMAGE`` and
``vis/0012/0012_c03_IMAGE``; the identity is the image's folder, the camera the ``camN`` folder or the
``_cN_``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vireid.layouts import counts
from vireid.layouts.listing import (
    LabelColumn,
    Notify,
    Problem,
    check_split,
    image_files,
    numbered,
    read_identities,
    read_labelled,
    subfolders,
)
from vireid.layouts.spec import LayoutSpec, MatchRule, Search
from vireid.layouts.tree import TRIALS, Order, Place, Tree, identity_row, labelled_lines
from vireid.types import Dataset, Modality, Sample

FOLDERS = {Modality.VISIBLE: "vis", Modality.INFRARED: "nir"}
TRAINING, TEST = (713, 16_946, 13_975), (351, 8_680, 7_166)  # people, visible and infrared images
_CAMERA_FOLDER = re.compile(r"cam(\d+)")
_CAMERA_IN_NAME = re.compile(r"_c(\d+)_")


def load(root: Path, trial: int, notify: Notify) -> Dataset:
    """Read the training lists and the folders of the test identities; a camera may lack identities."""
    dataset = Dataset("llcm", root, _train(root, notify), _test(root, notify))
    check_split(dataset, notify)
    return dataset


def _train(root: Path, notify: Notify) -> tuple[Sample, ...]:
    labels = LabelColumn(notify)
    samples = []
    for modality, folder in FOLDERS.items():
        for line in read_labelled(root, root / "idx" / f"train_{folder}.txt", folder, notify):
            sample = _sample(line.path, line.parts, modality)
            if sample is None:
                forms = f"{folder}/camN/IDENTITY/IMAGE or {folder}/IDENTITY/IDENTITY_cN_IMAGE"
                what = f"expected {forms}, got {'/'.join(line.parts)}"
                notify(Problem("unreadable", line.where, what))
                continue
            labels.check(line, sample.identity)
            samples.append(sample)
    return tuple(sorted(samples, key=_order))


def _test(root: Path, notify: Notify) -> tuple[Sample, ...]:
    listed = root / "idx" / "test_id.txt"
    identities = set(read_identities(listed, notify))
    samples = []
    for modality, name in FOLDERS.items():
        folder = root / f"test_{name}"
        for path in _images(folder if folder.is_dir() else root / name, identities):
            sample = _sample(path, path.relative_to(root).parts, modality)
            if sample is None:
                notify(Problem("unreadable", str(path), "expected a camN folder or _cN_ in the name for the camera"))
            else:
                samples.append(sample)
    for identity in sorted(identities - {sample.identity for sample in samples}):
        what = f"identity {identity} is a test identity but has no image in test_vis, test_nir, vis or nir"
        notify(Problem("missing", str(listed), what))
    return tuple(sorted(samples, key=_order))


def _images(folder: Path, identities: set[int]) -> Iterator[Path]:
    """Images of these identities in ``folder/identity`` and ``folder/camN/identity``."""
    for child in subfolders(folder):
        people = subfolders(child) if _CAMERA_FOLDER.fullmatch(child.name) else [child]
        for person in people:
            if numbered(person.name) in identities:
                yield from image_files(person)


def _sample(path: Path, parts: tuple[str, ...], modality: Modality) -> Sample | None:
    """The record of ``parts``, the path below the root; None if it holds no identity or no camera."""
    identity = numbered(path.parent.name)
    camera = _CAMERA_FOLDER.fullmatch(parts[1]) or _CAMERA_IN_NAME.search(path.name)
    if identity is None or camera is None:
        return None
    return Sample(path, identity, int(camera[1]), modality)


def _order(sample: Sample) -> tuple[int, int, int, str]:
    return sample.modality, sample.identity, sample.camera, sample.path.name


def tree(order: Order) -> Tree:
    """``{vis,nir,test_vis,test_nir}/cam{1..9}/{identity}/{image}.jpg``, lists of training images and test ids."""
    test, rest = order.split()
    shape = np.full((order.identities, 9, 2), order.images or 0)
    if order.images is None:
        shape[np.array(test) - 1] = counts.llcm(order.random, len(test), False, *TEST)
        shape[np.array(rest) - 1] = counts.llcm(order.random, len(rest), True, *TRAINING)
    training = set(rest)
    # a camera works by day and by night: infrared numbers continue, so that no two images show the same moment
    places = [
        Place(
            f"{prefix}{folder}/cam{camera}/{identity:04d}/{image:04d}.jpg", identity, camera, before + image, modality
        )
        for modality, folder in FOLDERS.items()
        for camera in range(1, 10)
        for identity in range(1, order.identities + 1)
        for prefix in ["" if identity in training else "test_"]
        for before in [shape[identity - 1, camera - 1, 0].item() if modality else 0]
        for image in range(1, shape[identity - 1, camera - 1, modality] + 1)
    ]
    files = {"idx/test_id.txt": identity_row(test)}
    for modality, folder in FOLDERS.items():
        mine = (place for place in places if place.modality is modality)
        files[f"idx/train_{folder}.txt"] = labelled_lines(mine, rest)
    return Tree(places, files)


LLCM = LayoutSpec(
    name="llcm",
    title="LLCM",
    load=load,
    markers=tuple(FOLDERS.values()),
    more_folders=tuple(f"test_{folder}" for folder in FOLDERS.values()),
    rule=MatchRule("llcm", identity_cmc=True, skips_same_camera=True),
    searches=(
        Search(Modality.INFRARED, Modality.VISIBLE, "Near infrared to visible"),
        Search(Modality.VISIBLE, Modality.INFRARED, "Visible to near infrared"),
    ),
    shots=(1,),
    trials=TRIALS,
    published={"training identities": 713, "test identities": 351, "cameras": 9, "images": 46_767},
    recipe="llcm-dfw",
    tree=tree,
)
