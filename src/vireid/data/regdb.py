"""The RegDB layout (Nguyen et al., Sensors 2017), in the split files that the field shares.

``ROOT/{Visible,Thermal}/{identity}/*.bmp`` and ``ROOT/idx/{train,test}_{visible,thermal}_{1..10}.txt`` with
lines ``Visible/12/male_back_v_00523_12.bmp 7``. Each trial is its own split of the identities into halves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vireid.data.listing import LabelColumn, Notify, Problem, check_split, numbered, read_labelled
from vireid.types import Dataset, Modality, Sample, VireidError

TRIALS = range(1, 11)
FOLDERS = {Modality.VISIBLE: "Visible", Modality.INFRARED: "Thermal"}


def load(root: Path, trial: int, notify: Notify) -> Dataset:
    """Read the lists of one trial. The identity is the image's folder; camera 1 is visible, 2 thermal.

    The label column must be one numbering of those identities within each part; it is checked, not used.
    Raises `VireidError` for a trial outside 1 to 10.
    """
    if trial not in TRIALS:
        raise VireidError(f"trial: expected a RegDB trial from 1 to 10, got {trial}")
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
