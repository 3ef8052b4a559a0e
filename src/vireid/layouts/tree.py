"""The folders and lists of a rendered set, described independently of the renderer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vireid.types import Modality

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TRIALS = 10
"""Number of galleries or splits drawn in advance."""


@dataclass(frozen=True)
class Order:
    """A requested set. People are numbered from 1.

    ``test_identities``: how many of the people are for testing. ``images``: per person and camera, None for as many as
    in the real set. ``random(*key)`` returns the random generator of a key of whole numbers; 5, 6 and 9 are already
    used as first elements.
    """

    identities: int
    test_identities: int
    images: int | None
    random: Callable[..., np.random.Generator] = field(repr=False)

    def split(self, trial: int | None = None) -> tuple[list[int], list[int]]:
        """Draw the test and the training people, both in random order; anew for every ``trial``."""
        key = () if trial is None else (trial,)
        order = [int(index) + 1 for index in self.random(5, *key).permutation(self.identities)]
        return order[: self.test_identities], order[self.test_identities :]


@dataclass(frozen=True)
class Place:
    """One image: its path below the root, and what it shows.

    ``image``, the number of the moment, is unique per person and camera. ``query``: whether it is a query, in layouts
    that list the queries.
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

    ``draws[camera, identity]`` (trials, images), if galleries are drawn in advance: row t is a permutation of the
    images' positions, from 0.
    """

    places: list[Place]
    files: dict[str, bytes] = field(default_factory=dict)
    draws: dict[tuple[int, int], npt.NDArray[np.int64]] = field(default_factory=dict)


def identity_row(people: Iterable[int]) -> bytes:
    """A file of comma-separated identities, ascending."""
    return (",".join(map(str, sorted(people))) + "\n").encode()


def labelled_lines(places: Iterable[Place], people: Iterable[int]) -> bytes:
    """Lines ``path label`` of the images of ``people``, the label being the person's position in sorted order."""
    label = {identity: index for index, identity in enumerate(sorted(people))}
    return "".join(f"{p.path} {label[p.identity]}\n" for p in places if p.identity in label).encode()
