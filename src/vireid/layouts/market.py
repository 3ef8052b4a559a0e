"""The Market-1501 layout (Zheng et al., ICCV 2015): visible images only.

``ROOT/{bounding_box_train,query,bounding_box_test}/0002_c1s1_000451_03.jpg``: identity, camera, sequence, frame, box.
The gallery holds distractors, identity 0000, and junk, identity -1: boxes that show nobody well.
"""

from __future__ import annotations

import re
from pathlib import Path

from vireid.layouts.listing import Notify, Problem, check_split, image_files
from vireid.layouts.spec import VISIBLE_TO_VISIBLE, LayoutSpec, MatchRule
from vireid.layouts.tree import Order, Place, Tree
from vireid.types import Dataset, Modality, Sample, VireidError

TRAIN, QUERY, GALLERY = FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
JUNK = -1
CAMERAS, IMAGES = 6, 4  # of a rendered set, and images of a person by a camera
_NAME = re.compile(r"(-1|\d{1,9})_c(\d{1,4})(s\d+)?_")


def load(root: Path, trial: int, notify: Notify) -> Dataset:
    """Read the three folders; junk is left out, as the protocol removes it from every gallery.

    Sets with similar names, such as ``0001_c2_f0046302.jpg``, are read too. Distractors are gallery images that no
    query matches.
    """
    train, query, gallery = (_samples(root / name, notify) for name in FOLDERS)
    for sample in (*train, *query):
        if sample.identity < 1:
            what = f"identity {sample.identity} stands for nobody; expected it in {GALLERY} alone"
            notify(Problem("mislabelled", str(sample.path), what))
    test = tuple(query + [sample for sample in gallery if sample.identity != JUNK])
    names = {sample.identity: f"{sample.identity:04d}" for sample in (*train, *test)}
    dataset = Dataset("market", root, tuple(train), test, queries=tuple(range(len(query))), names=names)
    check_split(dataset, notify, either=True)
    return dataset


def _samples(folder: Path, notify: Notify) -> list[Sample]:
    found = []
    for path in image_files(folder):
        name = _NAME.match(path.name)
        if name is None:
            what = "expected a name such as 0002_c1s1_000451_03.jpg, which begins with identity and camera"
            notify(Problem("unreadable", str(path), what))
        else:
            found.append(Sample(path, int(name[1]), int(name[2]), Modality.VISIBLE))
    if not found:
        notify(Problem("missing", str(folder), "expected a folder of images; restore it from the data set"))
    return sorted(found, key=lambda sample: (sample.identity, sample.camera, sample.path.name))


def tree(order: Order) -> Tree:
    """``{folder}/{identity}_c{camera}s1_{image}_00.jpg``; the first image of a test person by a camera is a query."""
    if order.images == 1:
        raise VireidError("images: expected 2 or more: one of a test person is a query, the others its gallery")
    test = set(order.split()[0])
    places = []
    for identity in range(1, order.identities + 1):
        for camera in range(1, CAMERAS + 1):
            for image in range(1, (order.images or IMAGES) + 1):
                query = identity in test and image == 1
                folder = QUERY if query else GALLERY if identity in test else TRAIN
                path = f"{folder}/{identity:04d}_c{camera}s1_{image:06d}_00.jpg"
                places.append(Place(path, identity, camera, image, Modality.VISIBLE, query))
    return Tree(places)


MARKET = LayoutSpec(
    name="market",
    title="Market-1501",
    load=load,
    markers=FOLDERS,
    rule=MatchRule("market", skips_same_camera=True),
    searches=(VISIBLE_TO_VISIBLE,),
    published={
        "training identities": 751,
        "test identities": 750,
        "cameras": 6,
        "training images, visible": 12_936,
        "query images, visible": 3_368,
        "gallery images, visible": 15_913,  # 19,732 with the junk
    },
    recipe="baseline",
    tree=tree,
)
