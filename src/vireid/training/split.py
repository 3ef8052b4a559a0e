"""Which samples a run trains on, and which it holds out."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

from vireid.types import Dataset, Sample, VireidError


def fingerprint(dataset: Dataset) -> str:
    """Hash of the relative paths and sizes of all images: equal for copies of one tree, wherever they lie.

    Of a set without files, the hash of its record.
    """
    if dataset.rendered:
        return hashlib.sha256(json.dumps(dataset.rendered, sort_keys=True).encode()).hexdigest()
    files = sorted({s.path for s in dataset.train + dataset.test})
    lines = [f"{path.relative_to(dataset.root).as_posix()} {path.stat().st_size}" for path in files]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def folder_names(samples: Iterable[Sample]) -> list[str]:
    """Names of the identities' folders, sorted: what tells people of a plain folder apart when others join them."""
    return sorted({s.path.parent.name for s in samples})


def split_training(
    dataset: Dataset, holdout: float, validation: float, seed: int
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Return (training samples, validation samples); no identity is in both, none is a test identity.

    Of a plain folder, which has no lists, a share ``holdout`` of the identities is kept for testing, the same for
    every seed. A share ``validation`` of the rest is held out of training, drawn by ``seed``.

    Raises:
        VireidError: too few identities to hold any out.
    """
    identities = sorted({s.identity for s in dataset.train})
    if dataset.layout == "folder":
        identities = _drop(identities, holdout, 0, f"{dataset.root}: data.holdout={holdout}")[0]
    kept, held = identities, list[int]()
    if validation > 0:
        kept, held = _drop(identities, validation, seed, f"{dataset.root}: training.validation={validation}")
    return _of(dataset.train, kept), _of(dataset.train, held)


def unseen(dataset: Dataset, info: dict[str, Any]) -> Dataset:
    """The dataset with test images of identities that the run of ``info`` (its run.json) did not train on.

    Raises:
        VireidError: a RegDB run on another trial than its own, whose test identities it trained on.
    """
    if dataset.layout == "regdb" and info["layout"] == "regdb" and info["trial"] != dataset.trial:
        raise VireidError(
            f"trial {dataset.trial}: this run was trained on RegDB trial {info['trial']}, another trial tests on its "
            f"training identities; evaluate it on trial {info['trial']}"
        )
    same = info["data"] == str(dataset.root.resolve()) or info["fingerprint"] == fingerprint(dataset)
    if dataset.layout != "folder" or info["layout"] != "folder" or not same:
        return dataset
    test = tuple(s for s in dataset.test if s.path.parent.name not in info["seen_folders"])
    return Dataset(dataset.layout, dataset.root, dataset.train, test)


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
