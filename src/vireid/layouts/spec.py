"""The description of a data set: everything the rest of the package needs to know about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vireid.layouts.listing import Notify
from vireid.layouts.tree import Order, Tree
from vireid.types import Dataset, Modality, VireidError

Load = Callable[[Path, int, Notify], Dataset]
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class MatchRule:
    """Which images a protocol removes from a query's gallery, and what its CMC counts.

    ``identity_cmc``: rank k counts identities (only the first image of each identity in the ranking), not
    images. mAP and mINP use all images either way. ``never_compared``: (query camera, gallery camera) pairs
    whose images are skipped for every identity. ``skips_same_camera``: skip images of the query's own
    identity and camera. ``skips_same_image``: skip the query's own image, for protocols whose queries are part
    of the gallery.
    """

    name: str
    identity_cmc: bool = False
    never_compared: tuple[tuple[int, int], ...] = ()
    skips_same_camera: bool = False
    skips_same_image: bool = False

    @property
    def needs_cameras(self) -> bool:
        """Whether the rule cannot be applied without camera labels."""
        return self.skips_same_camera or bool(self.never_compared)


@dataclass(frozen=True)
class Search:
    """One search of the test part: queries of one modality in a gallery of one modality.

    ``title``: the header of its table columns. ``name``: distinguishes it from other searches in the same direction.
    ``query_cameras`` and ``gallery_cameras``: the cameras whose images take part, in the order in which galleries are
    drawn; () for all. ``official``: whether it is part of the data set's published protocol.

    A search within one modality is left out if a search between the modalities has images.
    """

    query: Modality
    gallery: Modality
    title: str
    name: str = "whole"
    query_cameras: tuple[int, ...] = ()
    gallery_cameras: tuple[int, ...] = ()
    official: bool = True

    @property
    def direction(self) -> str:
        """For example ``infrared-to-visible``."""
        return f"{self.query}-to-{self.gallery}"


@dataclass(frozen=True)
class LayoutSpec:
    """One data set. Its loader and its markers are required; everything else defaults to the values of a plain folder.

    Raises `VireidError` for a name that is not a lower-case word, or without any search.
    """

    name: str
    """Name in commands, recipes and results."""
    title: str
    """Name for people."""
    load: Load = field(repr=False)
    """``load(root, trial, notify)`` reads the records and passes every flaw to ``notify`` as a `Problem`."""
    markers: tuple[str, ...] = ()
    """Folders in the root by which the layout is recognised: all of them, or any one in an incomplete copy."""
    suffix: str = ""
    """File suffix of a data set that is one file, such as ``.csv``."""
    more_folders: tuple[str, ...] = ()
    """Further folders that may hold images."""
    splits: int = 0
    """Number of splits into training and test part, of which ``--trial`` picks one; 0: no choice."""
    lists: bool = True
    """Whether the set defines its test identities. Without lists, training and test part are the same images, people
    are the names of the images' folders, and training keeps a share ``data.holdout`` of them for testing."""
    rule: MatchRule = MatchRule("folder")
    """Rule of evaluation."""
    searches: tuple[Search, ...] = ()
    """Searches to evaluate, in the order of the results."""
    shots: tuple[int, ...] = ()
    """Gallery images drawn of each identity and camera: the first by default, the others on request; if empty, the
    whole gallery."""
    draws: str = ""
    """File in the root with the official draws, if there are any."""
    trials: int = 1
    """Number of galleries or splits that published numbers are means over."""
    columns: tuple[Search, ...] = ()
    """The searches that tables show, in their order; by default all."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Sizes in the data set's paper, by their names in ``data check``."""
    recipe: str = "sysu-dfw"
    """Shipped recipe to train it with."""
    printed: str = ""
    """Header of its column in the tables of the DFW paper; empty where the paper does not use it."""
    tree: Callable[[Order], Tree] | None = field(default=None, repr=False)
    """Returns the image paths and lists of a rendered set; None if the layout cannot be rendered."""
    people: tuple[int, int] | None = None
    """People of a rendered set and how many of them are for testing; by default as many as published."""
    infrared: Literal["near", "thermal"] = "near"
    """Infrared spectrum of a rendered set."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise VireidError(f"layout {self.name!r}: expected a name of lower-case letters, digits, - and _")
        if not self.searches:
            raise VireidError(f"layout {self.name}: searches: expected at least one")
        if not self.columns:
            object.__setattr__(self, "columns", self.searches)
        if self.people is None and self.tree is not None:
            train, test = (self.published.get(f"{part} identities") for part in ("training", "test"))
            if train is None or test is None:
                raise VireidError(
                    f"layout {self.name}: people: expected how many to render, as no numbers are published"
                )
            object.__setattr__(self, "people", (train + test, test))

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders of images in the root."""
        return self.markers + self.more_folders

    def opposite(self, search: Search) -> Search:
        """Return one of its searches in the other direction."""
        there = f"{search.gallery}-to-{search.query}"
        return next(s for s in self.searches if s.name == search.name and s.direction == there)

    @property
    def cameras(self) -> frozenset[int]:
        """The cameras that its searches name; none where any camera takes part."""
        return frozenset(camera for s in self.searches for camera in (*s.query_cameras, *s.gallery_cameras))


INFRARED_TO_VISIBLE = Search(Modality.INFRARED, Modality.VISIBLE, "Infrared to visible")
VISIBLE_TO_INFRARED = Search(Modality.VISIBLE, Modality.INFRARED, "Visible to infrared")
VISIBLE_TO_VISIBLE = Search(Modality.VISIBLE, Modality.VISIBLE, "Visible to visible")
INFRARED_TO_INFRARED = Search(Modality.INFRARED, Modality.INFRARED, "Infrared to infrared")
