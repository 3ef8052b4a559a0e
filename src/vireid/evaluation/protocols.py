"""The published protocols: which test images are queries, which are gallery, trial by trial.

A setting is one line of a results table: a search mode, a direction, a gallery rule. It refers to images by
their row in ``dataset.test``, so features of the whole test part are extracted once and serve every setting.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from vireid.evaluation.rules import RULES, MatchRule
from vireid.types import Dataset, Modality, VireidError

Rows = npt.NDArray[np.int64]
Groups = dict[tuple[int, int], list[int]]
"""(identity, camera) -> test rows."""
GalleryRule = Literal["official", "community", "whole"]
TRIALS = 10
"""Galleries drawn per setting where the protocol draws them."""
MULTI_SHOT = 10
"""Gallery images per identity and camera in the multi-shot settings of SYSU-MM01."""


@dataclass(frozen=True)
class Trial:
    """One draw: rows of ``dataset.test``, (queries,) and (gallery,) int64."""

    query: Rows
    gallery: Rows


@dataclass(frozen=True)
class Setting:
    """One line of a results table.

    ``search``: ``all`` or ``indoor`` (SYSU-MM01) or ``whole``. ``direction``: modality of the queries, then
    of the gallery. ``gallery_rule``: how the gallery was drawn; ``official`` (the permutations shipped with
    SYSU-MM01), ``community`` (Python's random module, see `community_draw`), ``whole`` (not drawn).
    ``shots``: gallery images per identity and camera, None for all. ``official``: whether the setting is part
    of the data set's published protocol.
    """

    protocol: str
    search: str
    direction: str
    gallery_rule: GalleryRule
    shots: int | None
    rule: MatchRule
    trials: tuple[Trial, ...]
    official: bool

    @property
    def name(self) -> str:
        """A name that is unique in a results table, e.g. ``sysu all infrared-to-visible single-shot official``."""
        shots = {None: "", 1: "single-shot"}.get(self.shots, "multi-shot")
        parts = [self.protocol, self.search, self.direction, shots, self.gallery_rule]
        return " ".join(part for part in parts if part and part != "whole")


def settings_for(
    dataset: Dataset,
    *,
    gallery_rule: Literal["official", "community"] | None = None,
    multi_shot: bool = False,
) -> tuple[Setting, ...]:
    """Return the settings a model is evaluated in on the test part of a data set.

    SYSU-MM01: all and indoor search, single-shot (and multi-shot if asked), each from infrared to visible
    and, outside the official protocol, back. The other layouts: both directions.

    Args:
        dataset: needs at least one test image of each modality.
        gallery_rule: SYSU-MM01 only; by default ``official`` where the data set comes with its permutations,
            else ``community``.
        multi_shot: SYSU-MM01 only; add the settings with ten gallery images per identity and camera.

    Raises:
        VireidError: a modality has no test images, or the permutations asked for are missing or do not fit
            the files.
    """
    for modality in Modality:
        if not any(sample.modality == modality for sample in dataset.test):
            raise VireidError(f"{dataset.root}: the test part has no {modality} images; both modalities are needed")
    if dataset.layout == "sysu":
        return _sysu(dataset, gallery_rule, (1, MULTI_SHOT) if multi_shot else (1,))
    settings = []
    for query in (Modality.INFRARED, Modality.VISIBLE):
        queries = _rows(dataset, query)
        if dataset.layout == "llcm":
            cameras = sorted({sample.camera for sample in dataset.test if sample.modality == query.other})
            trials = _trials(dataset, queries, _groups(dataset, query.other, cameras), 1, "community")
        else:
            trials = (Trial(queries, _rows(dataset, query.other)),)
        settings.append(
            Setting(
                protocol=dataset.layout,
                search="whole",
                direction=f"{query}-to-{query.other}",
                gallery_rule="community" if dataset.layout == "llcm" else "whole",
                shots=1 if dataset.layout == "llcm" else None,
                rule=RULES[dataset.layout],
                trials=trials,
                official=dataset.layout != "folder",
            )
        )
    return tuple(settings)


def mixed_setting(dataset: Dataset) -> Setting:
    """Return the search that does not know the modality: every test image against all others of both
    modalities.

    The query's own image is skipped; where the layout knows cameras, so are the images of its identity and
    camera (the custom of visible-only re-identification) and the camera pairs of the protocol's own rule.
    Ranks count images.
    """
    rows = np.arange(len(dataset.test))
    cameras = dataset.layout in ("sysu", "llcm")
    never = RULES[dataset.layout].never_compared
    rule = MatchRule("mixed", never_compared=never, skips_same_camera=cameras, skips_same_image=True)
    return Setting(dataset.layout, "mixed", "both-to-both", "whole", None, rule, (Trial(rows, rows),), False)


def community_draw(files: Iterable[Sequence[int]], shots: int, trial: int) -> list[int]:
    """Draw the gallery of one trial the way AGW, CAJ, HCT, MMN and DEEN do.

    Python's generator is seeded with the trial's number; each group then gives one `random.choice` of its
    sorted files. Their code has no multi-shot form; ours takes `random.sample` of at most ``shots`` files of
    each group.

    Args:
        files: one group per identity and camera, identities ascending, then cameras in the protocol's order;
            the entries of a group stand for its files, sorted by name.
        shots: images per group.
        trial: 0 to 9.
    """
    generator = random.Random(trial)
    drawn: list[int] = []
    for group in files:
        drawn += [generator.choice(group)] if shots == 1 else generator.sample(group, min(shots, len(group)))
    return drawn


def _sysu(
    dataset: Dataset, gallery_rule: Literal["official", "community"] | None, all_shots: Sequence[int]
) -> tuple[Setting, ...]:
    chosen: Literal["official", "community"] = gallery_rule or (
        "official" if dataset.gallery_permutations else "community"
    )
    if chosen == "official" and not dataset.gallery_permutations:
        raise VireidError(
            f"{dataset.root}/exp/rand_perm_cam.mat: needed for the official gallery rule and not there; "
            "restore it or use the community rule"
        )
    settings = []
    for search, visible in (("all", (1, 2, 4, 5)), ("indoor", (1, 2))):
        for query, seen, kept in (
            (Modality.INFRARED, (3, 6), visible),
            (Modality.VISIBLE, visible, (3, 6)),
        ):
            queries, groups = _rows(dataset, query, seen), _groups(dataset, query.other, kept)
            # A set without the cameras of a search mode (a synthetic one, a part of the real one) has no such
            # line.
            for shots in all_shots if len(queries) and groups else ():
                settings.append(
                    Setting(
                        protocol="sysu",
                        search=search,
                        direction=f"{query}-to-{query.other}",
                        gallery_rule=chosen,
                        shots=shots,
                        rule=RULES["sysu"],
                        trials=_trials(dataset, queries, groups, shots, chosen),
                        official=query == Modality.INFRARED,
                    )
                )
    if not settings:
        raise VireidError(f"{dataset.root}: no infrared images of cameras 3, 6 or no visible ones of 1, 2, 4, 5")
    return tuple(settings)


def _rows(dataset: Dataset, modality: Modality, cameras: Sequence[int] | None = None) -> Rows:
    """Return the rows of the test images of a modality (and of these cameras)."""
    return np.array(
        [
            row
            for row, sample in enumerate(dataset.test)
            if sample.modality == modality and (cameras is None or sample.camera in cameras)
        ],
        dtype=np.int64,
    )


def _groups(dataset: Dataset, modality: Modality, cameras: Sequence[int]) -> Groups:
    """Return the test rows of every identity and camera, sorted by file name.

    Identities ascend, then cameras in the given order: the order in which the community rule draws.
    """
    files: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in _rows(dataset, modality, cameras):
        sample = dataset.test[row]
        files[sample.identity, cameras.index(sample.camera)].append(int(row))
    return {
        (identity, cameras[position]): sorted(rows, key=lambda row: dataset.test[row].path.name)
        for (identity, position), rows in sorted(files.items())
    }


def _trials(
    dataset: Dataset, queries: Rows, groups: Groups, shots: int, rule: Literal["official", "community"]
) -> tuple[Trial, ...]:
    draw = partial(_official_draw, dataset, groups) if rule == "official" else partial(community_draw, groups.values())
    return tuple(Trial(queries, np.array(draw(shots, trial), dtype=np.int64)) for trial in range(TRIALS))


def _official_draw(dataset: Dataset, groups: Groups, shots: int, trial: int) -> list[int]:
    """Take the first ``shots`` entries of the trial's permutation of every identity and camera."""
    drawn: list[int] = []
    for (identity, camera), rows in groups.items():
        permutation = dataset.gallery_permutations.get((camera, identity))
        if permutation is None or permutation.shape != (TRIALS, len(rows)):
            listed = 0 if permutation is None else permutation.shape[1]
            raise VireidError(
                f"{dataset.root}/exp/rand_perm_cam.mat: lists {listed} images of identity {identity} in "
                f"camera {camera}, the test part has {len(rows)}; restore them or use the community rule"
            )
        drawn += [rows[position] for position in permutation[trial, :shots]]
    return drawn
