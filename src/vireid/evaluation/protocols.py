"""The published protocols: which test images are queries, which are gallery, trial by trial.

A setting is one line of a results table: a search mode, a direction, a gallery rule. It refers to images by
their row in ``dataset.test``, so features of the whole test part are extracted once and serve every setting.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from vireid.layouts import LayoutSpec, MatchRule, Search, find_layout
from vireid.types import Dataset, Modality, VireidError

Rows = npt.NDArray[np.int64]
Groups = dict[tuple[int, int], list[int]]
"""(identity, camera) -> test rows."""
GalleryRule = Literal["official", "community", "whole"]


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
    of the data set's published protocol. ``published``: trials that its published numbers are means over.
    """

    protocol: str
    search: str
    direction: str
    gallery_rule: GalleryRule
    shots: int | None
    rule: MatchRule
    trials: tuple[Trial, ...]
    official: bool
    published: int = 1

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
    """Return the settings a model is evaluated in on the test part of a data set: the searches of its layout.

    SYSU-MM01: all and indoor search, single-shot (and multi-shot if asked), each from infrared to visible
    and, outside the official protocol, back. Market-1501: its queries in its gallery. The other layouts: both
    directions.

    Args:
        gallery_rule: SYSU-MM01 only; by default ``official`` where the data set comes with its permutations,
            else ``community``.
        multi_shot: SYSU-MM01 only; add the settings with ten gallery images per identity and camera.

    Raises:
        VireidError: no search finds queries and a gallery, or the permutations asked for are missing or do not fit the
            files.
    """
    layout = find_layout(dataset.layout)
    chosen: GalleryRule = "community" if layout.shots else "whole"
    if layout.shots and layout.draws:
        chosen = gallery_rule or ("official" if dataset.gallery_permutations else "community")
    if chosen == "official" and not dataset.gallery_permutations:
        raise VireidError(
            f"{dataset.root / layout.draws}: needed for the official gallery rule and not there; "
            "restore it or use the community rule"
        )
    # where every image is a query, its own image is in its gallery
    rule = replace(layout.rule, skips_same_image=layout.rule.skips_same_image or dataset.queries is None)
    return tuple(
        Setting(
            protocol=layout.name,
            search=search.name,
            direction=search.direction,
            gallery_rule=chosen,
            shots=shots,
            rule=layout.rule if search.query != search.gallery else rule,
            trials=_trials(dataset, layout, search, sides, shots, chosen),
            official=search.official,
            published=layout.trials,
        )
        for search, sides in _sides(dataset, layout)
        for shots in layout.shots[: None if multi_shot else 1] or (None,)
    )


def mixed_setting(dataset: Dataset) -> Setting:
    """Return the search that does not know the modality: every test image against all others of both
    modalities.

    The query's own image is skipped; where the layout knows cameras, so are the images of its identity and
    camera (the custom of visible-only re-identification) and the camera pairs of the protocol's own rule.
    Ranks count images.
    """
    rows, layout = np.arange(len(dataset.test)), find_layout(dataset.layout)
    rule = MatchRule(
        "mixed",
        never_compared=layout.rule.never_compared,
        skips_same_camera=layout.rule.needs_cameras,
        skips_same_image=True,
    )
    return Setting(layout.name, "mixed", "both-to-both", "whole", None, rule, (Trial(rows, rows),), False)


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


def _sides(dataset: Dataset, layout: LayoutSpec) -> list[tuple[Search, Trial]]:
    """Return the searches that have images, each with its queries and all that may be in its gallery.

    A set without the cameras of a search (a synthetic one, a part of the real one) has no such search.
    """
    rows = np.arange(len(dataset.test))
    asked = rows if dataset.queries is None else np.array(dataset.queries, dtype=np.int64)
    given = rows if dataset.queries is None else np.setdiff1d(rows, asked)
    found = []
    for search in layout.searches:
        queries = _rows(dataset, asked, search.query, search.query_cameras)
        gallery = _rows(dataset, given, search.gallery, search.gallery_cameras)
        if len(queries) and len(gallery):
            found.append((search, Trial(queries, gallery)))
    if not found:
        raise VireidError(f"{dataset.source}: the test part has {_lacking(dataset, layout)}")
    return [side for side in found if side[0].query != side[0].gallery] or found


def _lacking(dataset: Dataset, layout: LayoutSpec) -> str:
    """Say what a test part would need to be evaluated."""
    search = layout.searches[0]
    both = "; both modalities are needed" if search.query != search.gallery else ""
    for modality in (search.query, search.gallery):
        if not any(sample.modality == modality for sample in dataset.test):
            return f"no {modality} images{both}"
    sides = ((search.query, search.query_cameras), (search.gallery, search.gallery_cameras))
    parts = [f"no {m} images of cameras {', '.join(map(str, cameras))}" for m, cameras in sides if cameras]
    return " or ".join(parts) or f"no {search.query} queries or no {search.gallery} gallery"


def _rows(dataset: Dataset, rows: Rows, modality: Modality, cameras: Sequence[int]) -> Rows:
    """Return those of the rows that are of a modality, and of these cameras where any are given."""
    chosen = [dataset.test[row].modality == modality and (not cameras or dataset.test[row].camera in cameras)
              for row in rows]  # fmt: skip
    return rows[np.array(chosen, dtype=np.bool_)]


def _groups(dataset: Dataset, rows: Rows, cameras: Sequence[int]) -> Groups:
    """Return the rows of every identity and camera, sorted by file name.

    Identities ascend, then cameras in the given order: the order in which the community rule draws.
    """
    files: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in rows:
        sample = dataset.test[row]
        files[sample.identity, cameras.index(sample.camera)].append(int(row))
    return {
        (identity, cameras[position]): sorted(rows, key=lambda row: dataset.test[row].path.name)
        for (identity, position), rows in sorted(files.items())
    }


def _trials(
    dataset: Dataset, layout: LayoutSpec, search: Search, whole: Trial, shots: int | None, rule: GalleryRule
) -> tuple[Trial, ...]:
    if shots is None:
        return (whole,)
    cameras = search.gallery_cameras or sorted({dataset.test[row].camera for row in whole.gallery})
    groups = _groups(dataset, whole.gallery, cameras)
    draw = partial(_official_draw, dataset, groups) if rule == "official" else partial(community_draw, groups.values())
    return tuple(Trial(whole.query, np.array(draw(shots, trial), dtype=np.int64)) for trial in range(layout.trials))


def _official_draw(dataset: Dataset, groups: Groups, shots: int, trial: int) -> list[int]:
    """Take the first ``shots`` entries of the trial's permutation of every identity and camera."""
    file = dataset.root / find_layout(dataset.layout).draws
    drawn: list[int] = []
    for (identity, camera), rows in groups.items():
        permutation = dataset.gallery_permutations.get((camera, identity))
        if permutation is None or len(permutation) <= trial or permutation.shape[1] != len(rows):
            listed = 0 if permutation is None else permutation.shape[1]
            raise VireidError(
                f"{file}: lists {listed} images of identity {identity} in camera {camera}, the test part has "
                f"{len(rows)}; restore them or use the community rule"
            )
        drawn += [rows[position] for position in permutation[trial, :shots]]
    return drawn
