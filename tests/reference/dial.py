"""A small model that never changes, against which the difficulty dial is held.

Gradients, shading and (between visible cameras) colour of a 6 x 6 pixel grid, projected to where people differ most and
their images least. Solved in closed form from people who appear nowhere else, at the middle of the dial.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from tests.reference.leakage import Array, Pictures, shoot
from vireid.synthetic import Difficulty, Spectrum

CELL = 6
DIRECTIONS = 6
DIMENSIONS = 32
CAMERAS = {Spectrum.VISIBLE: (2, 5), Spectrum.NEAR: (3, 6), Spectrum.THERMAL: (3, 6)}
"""The queries' cameras; the gallery is seen by the visible cameras 1 and 4."""
GALLERY = 10


@dataclass(frozen=True)
class Model:
    """``centres``: mean features of gallery and queries, ``axes`` (d, 32), for queries of ``spectrum``."""

    spectrum: Spectrum
    centres: tuple[Array, Array]
    axes: Array


def learn(spectrum: Spectrum, people: int = 200, *, seed: int = 0) -> Model:
    """Learn from ``people`` people, two images each in two cameras a side, at difficulty 0.5."""
    numbers = range(100_000, 100_000 + people)
    sides = [
        shoot(numbers, cameras, 2, kind, 0.5, seed=seed)
        for kind, cameras in ((Spectrum.VISIBLE, (1, 4)), (spectrum, CAMERAS[spectrum]))
    ]
    seen = [describe(side, colour=spectrum is Spectrum.VISIBLE) for side in sides]
    centres = seen[0].mean(axis=0), seen[1].mean(axis=0)
    features = np.concatenate([part - centre for part, centre in zip(seen, centres, strict=True)])
    people_of = np.concatenate([side.people for side in sides]) - numbers.start
    means = np.stack([features[people_of == person].mean(axis=0) for person in range(people)])
    inner = features - means[people_of]
    within, between = inner.T @ inner / len(inner), means.T @ means / people
    within += 0.05 * np.trace(within) / len(within) * np.eye(len(within))
    _, axes = scipy.linalg.eigh(between, within, subset_by_index=[len(within) - DIMENSIONS, len(within) - 1])
    return Model(spectrum, centres, axes)


def errors(model: Model, difficulty: Difficulty | float, people: int = 200, *, seed: int = 0) -> Array:
    """Return each person's expected rank-1 error in galleries of ten drawn from ``people``: (people,) fractions.

    Every person has one gallery image in each of two visible cameras and one query in each of two others. The
    expectation over all draws of nine others is exact, so that it is less noisy than one gallery.
    """
    colour = model.spectrum is Spectrum.VISIBLE
    numbers = range(1, people + 1)
    gallery = shoot(numbers, (1, 4), 1, Spectrum.VISIBLE, difficulty, seed=seed)
    query = shoot(numbers, CAMERAS[model.spectrum], 1, model.spectrum, difficulty, seed=seed)
    sides = [
        (describe(side, colour=colour) - centre) @ model.axes
        for side, centre in zip((gallery, query), model.centres, strict=True)
    ]
    known, asked = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    similarity = (asked @ known.T).reshape(2, people, 2, people)
    hits = [hit_rates(similarity[i, :, j]) for i in range(2) for j in range(2)]
    return np.asarray(1.0 - np.mean(hits, axis=0))


def hit_rates(similarity: Array) -> Array:
    """Return (people,) chances that nine random others are all less similar to a query than its own person is.

    ``similarity`` is (people, people), queries by gallery, both in the same order.
    """
    others = len(similarity) - 1
    less = (similarity < np.diag(similarity)[:, None]).sum(axis=1)
    chances = np.ones(len(similarity))
    for drawn in range(GALLERY - 1):
        chances *= (less - drawn).clip(min=0) / (others - drawn)
    return chances


def describe(pictures: Pictures, *, colour: bool) -> Array:
    """Return features (n, d): directions of gradients, shading and, if asked, hue, each of unit length."""
    levels = pictures.pixels.astype(np.float64) / 255.0
    light = np.log(levels.mean(axis=3) + 0.05)
    down, across = np.gradient(light, axis=(1, 2))
    strength = np.hypot(down, across)
    direction = np.arctan2(down, across) % np.pi / np.pi * DIRECTIONS
    parts = []
    for one in range(DIRECTIONS):
        apart = np.abs((direction - one + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2)
        parts.append(_pool(strength * (1.0 - apart).clip(min=0.0)))
    shading = _pool(light)
    features = [np.concatenate(parts, axis=1), shading - shading.mean(axis=1, keepdims=True)]
    if colour:
        hue = np.concatenate([_pool(levels[..., c] / (levels.mean(axis=3) + 0.05)) for c in range(3)], axis=1)
        features.append(hue - hue.mean(axis=1, keepdims=True))
    return np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in features], axis=1)


def _pool(values: Array) -> Array:
    count, high, wide = values.shape
    cells = values.reshape(count, high // CELL, CELL, wide // CELL, CELL).mean(axis=(2, 4))
    return np.asarray(cells.reshape(count, -1))


def alone(part: str, level: float) -> Difficulty:
    """Return the dial with one part at ``level`` and the others at 0."""
    return replace(Difficulty.even(0.0), **{part: level})
