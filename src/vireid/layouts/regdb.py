"""The RegDB layout (Nguyen et al., Sensors 2017), with the split files that the field shares.

``ROOT/{Visible,Thermal}/{identity}/*.bmp`` and ``ROOT/idx/{train,test}_{visible,thermal}_{1..10}.txt`` with
lines ``Visible/12/male_back_v_00523_12.bmp 7``. Each trial is its own split of the identities into halves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vireid.layouts.listing import LabelColumn, Notify, Problem, check_split, numbered, read_labelled
from vireid.layouts.spec import LayoutSpec, MatchRule, Search
from vireid.layouts.tree import TRIALS, Order, Place, Tree, labelled_lines
from vireid.types import Dataset, Modality, Sample, VireidError

FOLDERS = {Modality.VISIBLE: "Visible", Modality.INFRARED: "Thermal"}
IMAGES = 10  # of a person in each modality


def load(root: Path, trial: int, notify: Notify) -> Dataset:
    """Read the lists of one trial. The identity is the image's folder; camera 1 is visible, 2 thermal.

    The label column must number those identities consistently within each part; it is checked, not used.
    Raises `VireidError` for a trial outside 1 to 10.
    """
    if not 1 <= trial <= TRIALS:
        raise VireidError(f"trial: expected a RegDB trial from 1 to {TRIALS}, got {trial}")
    train = _part(root, "train", trial, notify)
    test = _part(root, "test", trial, notify)
    dataset = Dataset("regdb", root, train, test, trial=trial)
    check_split(dataset, notify)
    return dataset


def _part(root: Path, part: Literal["train", "test"], trial: int, notify: Notify) -> tuple[Sample, ...]:
    labels = LabelColumn(notify)
    samples = []
    for modality, folder in FOLDERS.items():
        path = root / "idx" / f"{part}_{folder.lower()}_{trial}.txt"
        for line in read_labelled(root, path, folder, notify):
            identity = numbered(line.path.parent.name)
            if identity is None or len(line.parts) != 3:
                notify(
                    Problem(
                        "unreadable",
                        line.where,
                        f"expected {folder}/IDENTITY/IMAGE, got {'/'.join(line.parts)}",
                    )
                )
                continue
            labels.check(line, identity)
            samples.append(Sample(line.path, identity, 1 + modality, modality))
    return tuple(sorted(samples, key=lambda s: (s.modality, s.identity, s.path.name)))


def tree(order: Order) -> Tree:
    """``{Visible,Thermal}/{identity}/walk_{v,t}_{image}.bmp`` and the lists of ten random splits."""
    places = [
        Place(f"{folder}/{identity}/walk_{folder[0].lower()}_{image:05d}.bmp", identity, 1 + modality, image, modality)
        for modality, folder in FOLDERS.items()
        for identity in range(1, order.identities + 1)
        for image in range(1, (order.images or IMAGES) + 1)
    ]
    files = {}
    for trial in range(1, TRIALS + 1):
        for part, people in zip(("test", "train"), order.split(trial), strict=True):
            for modality, folder in FOLDERS.items():
                mine = (place for place in places if place.modality is modality)
                files[f"idx/{part}_{folder.lower()}_{trial}.txt"] = labelled_lines(mine, people)
    return Tree(places, files)


_TO_VISIBLE = Search(Modality.INFRARED, Modality.VISIBLE, "Thermal to visible")
_TO_THERMAL = Search(Modality.VISIBLE, Modality.INFRARED, "Visible to thermal")

REGDB = LayoutSpec(
    name="regdb",
    title="RegDB",
    load=load,
    markers=tuple(FOLDERS.values()),
    splits=TRIALS,
    rule=MatchRule("regdb"),
    searches=(_TO_VISIBLE, _TO_THERMAL),
    trials=TRIALS,
    columns=(_TO_THERMAL, _TO_VISIBLE),
    published={  # of one trial
        "training identities": 206,
        "test identities": 206,
        "cameras": 2,
        "training images, visible": 2_060,
        "training images, infrared": 2_060,
        "test images, visible": 2_060,
        "test images, infrared": 2_060,
    },
    recipe="regdb-dfw",
    printed="Visible to thermal",
    tree=tree,
    infrared="thermal",
)
