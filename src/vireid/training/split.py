"""The split of a data set into samples that a run trains on and samples it holds out."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from vireid.config import LossConfig
from vireid.layouts import find_layout
from vireid.layouts.listing import one_sided
from vireid.types import Dataset, Sample, VireidError


def fingerprint(dataset: Dataset) -> str:
    """Hash of the relative paths and sizes of all images: equal for copies of one tree in any place.

    A file with the identities counts too. For a set without files, the hash of its record.
    """
    if dataset.rendered:
        return hashlib.sha256(json.dumps(dataset.rendered, sort_keys=True).encode()).hexdigest()
    files = sorted({s.path for s in dataset.train + dataset.test})
    lines = [f"{path.relative_to(dataset.root).as_posix()} {path.stat().st_size}" for path in files]
    if dataset.labels:
        lines.append(hashlib.sha256(dataset.labels.read_bytes()).hexdigest())
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def folder_names(samples: Iterable[Sample]) -> list[str]:
    """Names of the identities' folders, sorted; they identify the people of a plain folder even if others are added."""
    return sorted({s.path.parent.name for s in samples})


def split_training(
    dataset: Dataset, holdout: float, validation: float, seed: int
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Return (training samples, validation samples); no identity is in both, none is a test identity.

    In a layout without lists, such as a plain folder, a share ``holdout`` of the identities is kept for testing, the
    same for every seed. A share ``validation`` of the rest is held out of training, drawn by ``seed``.

    Raises:
        VireidError: no training image, or too few identities to hold any out.
    """
    if not dataset.train:
        raise VireidError(f"{dataset.source}: the training part has no image")
    identities = sorted({s.identity for s in dataset.train})
    if not find_layout(dataset.layout).lists:
        identities = _drop(identities, holdout, 0, f"{dataset.source}: data.holdout={holdout}")[0]
    kept, held = identities, list[int]()
    if validation > 0:
        kept, held = _drop(identities, validation, seed, f"{dataset.source}: training.validation={validation}")
    return _of(dataset.train, kept), _of(dataset.train, held)


def require_modalities(dataset: Dataset, samples: Sequence[Sample], loss: LossConfig) -> None:
    """Refuse training samples or people of one modality if the loss cannot be trained on them.

    Samples that are all of one modality train that modality's stream, with losses that do not compare modalities.

    Raises:
        VireidError: such samples.
    """
    if len({s.modality for s in samples}) == 1:
        if loss.hetero_center.weight:
            raise VireidError(
                f"{dataset.source}: its training images are all {samples[0].modality}, and "
                "loss.hetero_center compares two modalities; train without it (--recipe baseline, or "
                "loss.hetero_center.weight=0)"
            )
        return
    for sample, missing in one_sided(samples):
        name = dataset.identity_name(sample)
        raise VireidError(
            f"{dataset.labels or sample.path.parent}: identity {name} has no {missing} image; training needs both "
            f"modalities of every identity, add {missing} images or leave the identity out"
        )


def unseen(dataset: Dataset, info: dict[str, Any]) -> Dataset:
    """Return the dataset without the test images of identities that the run of ``info`` (its run.json) trained on.

    Raises:
        VireidError: a RegDB run on another trial than its own, whose test identities it trained on.
    """
    layout = find_layout(dataset.layout)
    if layout.splits and info["layout"] == dataset.layout and info["trial"] != dataset.trial:
        raise VireidError(
            f"trial {dataset.trial}: this run was trained on {layout.title} trial {info['trial']}, another trial "
            f"tests on its training identities; evaluate it on trial {info['trial']}"
        )
    same = info["data"] == str(dataset.source.resolve()) or info["fingerprint"] == fingerprint(dataset)
    if layout.lists or info["layout"] != dataset.layout or not same:
        return dataset
    test = tuple(s for s in dataset.test if s.path.parent.name not in info["seen_folders"])
    return replace(dataset, test=test)


def _drop(identities: list[int], share: float, seed: int, field: str) -> tuple[list[int], list[int]]:
    shuffled = random.Random(seed).sample(identities, len(identities))
    count = round(share * len(identities))
    if not 1 <= count < len(identities):
        raise VireidError(
            f"{field} holds out {count} of {len(identities)} identities; expected at least 1 on each side"
        )
    return sorted(shuffled[count:]), sorted(shuffled[:count])


def _of(samples: Sequence[Sample], identities: list[int]) -> tuple[Sample, ...]:
    chosen = set(identities)
    return tuple(s for s in samples if s.identity in chosen)
