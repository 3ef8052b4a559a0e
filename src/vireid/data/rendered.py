"""Render a synthetic data set with one call, in memory or on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vireid.data.layouts import open_dataset
from vireid.data.live import live_dataset
from vireid.difficulty import Difficulty
from vireid.parallel import Progress
from vireid.synthetic.settings import synthetic_set
from vireid.synthetic.tree import write_tree
from vireid.types import Dataset


def render(
    like: str = "sysu",
    identities: int | None = None,
    *,
    images: int | None = None,
    height: int = 288,
    width: int = 144,
    seed: int = 0,
    difficulty: Difficulty | float | dict[str, float] = 0.3,
    infrared: Literal["near", "thermal"] | None = None,
    masks: bool = False,
    trial: int = 1,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Render a synthetic day-and-night set of people who do not exist (docs/synthetic.md).

    The same arguments give the same people and images. Without ``out`` nothing is written: every image is rendered on
    first use and then kept in memory.

    Args:
        like: name of a layout, which sets cameras, lists and evaluation protocol.
        identities: number of people; by default as many as in the real set.
        images: images per person and camera (LLCM: and modality); by default as many as in the real set.
        height: image height in pixels. Without ``out``, ``height`` and ``width`` have to be those of the network input.
        width: image width in pixels.
        seed: seed of people, cameras and views.
        difficulty: from 0 (clean) to 1 (hard), or a level for each part, see `vireid.synthetic.Difficulty`.
        infrared: spectrum of the infrared cameras; by default thermal for regdb and near for the others.
        masks: with ``out``, write the people's silhouettes too.
        trial: split of a RegDB layout, 1 to 10.
        out: folder for the set as a tree of files, new or empty; an interrupted call resumes there.
        progress: called with (images written, images).

    Raises:
        VireidError: an unknown name, a number out of range, a folder that is in use or cannot be written.

    Examples:
        >>> import vireid
        >>> data = vireid.render("sysu", 4, images=1, height=48, width=24)
        >>> len(data.train), len(data.test), data.test[0].modality
        (18, 6, <Modality.VISIBLE: 0>)
    """
    settings = synthetic_set(
        like,
        identities,
        images=images,
        height=height,
        width=width,
        seed=seed,
        difficulty=difficulty,
        infrared=infrared,
        masks=masks,
    )
    if out is None:
        return live_dataset(settings, trial)
    write_tree(Path(out), settings, progress)
    return open_dataset(Path(out), trial)
