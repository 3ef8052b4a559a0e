"""What the folders of a rendered set look like, in words that know nothing of the renderer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vireid.types import Modality

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TRIALS = 10
"""Galleries or splits that are drawn in advance."""


@dataclass(frozen=True)
class Order:
    """A set that is wanted. People are numbered from 1.

    ``test_identities``: how many of the people are for testing. ``images``: of a person by a camera, None for as many
    as in the real set. ``random(*key)`` gives the random numbers that belong to whole numbers; 5, 6 and 9 are in use
    as first ones.
    """

    identities: int
    test_identities: int
    images: int | None
    random: Callable[..., np.random.Generator] = field(repr=False)

    def split(self, trial: int | None = None) -> tuple[list[int], list[int]]:
        """Draw who is for testing and who is not, both in random order; anew for every ``trial``."""
        key = () if trial is None else (trial,)
        order = [int(index) + 1 for index in self.random(5, *key).permutation(self.identities)]
        return order[: self.test_identities], order[self.test_identities :]


@dataclass(frozen=True)
class Place:
    """One image: where it goes below the root, and what it shows.

    No two images of a person by a camera have the same number ``image``: it stands for the moment. ``query``: whether
    it is one, where the layout sets the queries apart.
    """

    path: str
    identity: int
    camera: int
    image: int
    modality: Modality
    query: bool = False


@dataclass(frozen=True)
class Tree:
    """All images of a set, and its lists as ``files[path] = content``.

    ``draws[camera, identity]`` (trials, images), where galleries are drawn in advance: row t is a permutation of the
    images' places, from 0.
    """

    places: list[Place]
    files: dict[str, bytes] = field(default_factory=dict)
    draws: dict[tuple[int, int], npt.NDArray[np.int64]] = field(default_factory=dict)


def identity_row(people: Iterable[int]) -> bytes:
    """A file of comma-separated identities, ascending."""
    return (",".join(map(str, sorted(people))) + "\n").encode()


def labelled_lines(places: Iterable[Place], people: Iterable[int]) -> bytes:
    """Lines ``path label`` of the images of ``people``, the label being the place among them, sorted."""
    label = {identity: index for index, identity in enumerate(sorted(people))}
    return "".join(f"{p.path} {label[p.identity]}\n" for p in places if p.identity in label).encode()
