"""What is to be rendered and written where, decided before any pixel is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from vireid.layouts import find_layout
from vireid.layouts.tree import Order, Place, Tree
from vireid.synthetic.identity import stream
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.settings import SyntheticSet
from vireid.types import Modality, VireidError


@dataclass(frozen=True)
class Shot:
    """One image to make: where it goes, below the set's folder, and what it shows.

    ``query`` as in `vireid.layouts.tree.Place`.
    """

    path: str
    identity: int
    camera: int
    image: int
    spectrum: Spectrum
    query: bool = False


@dataclass(frozen=True)
class Plan:
    """All images of a set, in rendering order, and its lists as ``files[path] = content``.

    ``draws[camera, identity]`` (10, images), if the layout has galleries drawn in advance: row t is a permutation of
    the image indices from 0.
    """

    shots: tuple[Shot, ...]
    files: dict[str, bytes]
    draws: dict[tuple[int, int], npt.NDArray[np.int64]]


def order_of(settings: SyntheticSet) -> Order:
    """Return what a layout is asked for."""
    random = partial(stream, settings.seed)
    return Order(settings.identities, settings.test_identities, settings.images, random)


def plan(settings: SyntheticSet) -> Plan:
    """Decide the images and lists of a set; this takes half a second for the largest and touches no file.

    The images are in camera order and shuffled within a camera, so that the order in which a disk took them says
    nothing about who is on them. Raises ``VireidError`` for a layout that cannot be rendered.
    """
    layout = find_layout(settings.like, "like")
    if layout.tree is None:
        raise VireidError(f"like: {settings.like} cannot be rendered")
    tree: Tree = layout.tree(order_of(settings))
    shots = sorted((_shot(place, settings.infrared) for place in tree.places), key=lambda shot: shot.path)
    order = stream(settings.seed, 10).permutation(len(shots))
    shuffled = (shots[index] for index in order)
    return Plan(tuple(sorted(shuffled, key=lambda shot: (shot.camera, shot.spectrum.value))), tree.files, tree.draws)


def _shot(place: Place, infrared: Spectrum) -> Shot:
    spectrum = infrared if place.modality is Modality.INFRARED else Spectrum.VISIBLE
    return Shot(place.path, place.identity, place.camera, place.image, spectrum, place.query)
