"""The losses as Python loops in double precision, read off the papers' equations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Labels = Sequence[int]


def distance(a: Array, b: Array) -> float:
    return math.sqrt(math.fsum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def centre(rows: Array, labels: Labels, modalities: Labels, label: int, modality: int) -> Array:
    """Mean row of one identity in one modality."""
    mine = [r for r, x, m in zip(rows, labels, modalities, strict=True) if x == label and m == modality]
    return np.array([math.fsum(column) / len(mine) for column in zip(*mine, strict=True)])


def hetero_center(rows: Array, labels: Labels, modalities: Labels, margin: float, reduction: str) -> float:
    """Eq. 6."""
    terms = []
    for i in set(labels):
        for modality in (0, 1):
            anchor = centre(rows, labels, modalities, i, modality)
            positive = distance(anchor, centre(rows, labels, modalities, i, 1 - modality))
            negative = min(
                distance(anchor, centre(rows, labels, modalities, j, n)) for j in set(labels) if j != i for n in (0, 1)
            )
            terms.append(max(0.0, margin + positive - negative))
    return sum(terms) if reduction == "sum" else sum(terms) / len(terms)


def identity(logits: Array, labels: Labels) -> float:
    """Mean of -log softmax at the true class."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        total -= math.log(math.exp(row[label]) / math.fsum(math.exp(x) for x in row))
    return total / len(labels)


def triplets(labels: Labels) -> list[tuple[list[int], list[int]]]:
    """Positives (other rows of the identity) and negatives of every row."""
    n = range(len(labels))
    return [([j for j in n if j != i and labels[j] == labels[i]], [j for j in n if labels[j] != labels[i]]) for i in n]


def every_triplet(rows: Array, labels: Labels, margin: float) -> list[list[float]]:
    """Values of all valid triplets, one list per anchor."""
    return [
        [
            max(0.0, margin + distance(rows[i], rows[p]) - distance(rows[i], rows[n]))
            for p in positives
            for n in negatives
        ]
        for i, (positives, negatives) in enumerate(triplets(labels))
    ]


def batch_hard(rows: Array, labels: Labels, margin: float) -> float:
    total = 0.0
    for i, (positives, negatives) in enumerate(triplets(labels)):
        farthest = max(distance(rows[i], rows[p]) for p in positives)
        nearest = min(distance(rows[i], rows[n]) for n in negatives)
        total += max(0.0, margin + farthest - nearest)
    return total / len(labels)


def weighted_triplet(rows: Array, labels: Labels, squared: bool = False) -> float:
    """AGW: log(1 + exp(x)), x = sum w_p d_p - sum w_n d_n; CAJ: of sign(x) x^2, at most 88.

    w_p = exp(d_p) / sum exp(d_p) over the positives, the row itself among them, w_n likewise with -d_n; 1e-6 is added
    to the sums, the positives' after division by exp(max d_p).
    """
    total = 0.0
    for i, (positives, negatives) in enumerate(triplets(labels)):
        far = [distance(rows[i], rows[p]) for p in (i, *positives)]
        near = [distance(rows[i], rows[n]) for n in negatives]
        p = sum(math.exp(d - max(far)) * d for d in far) / (sum(math.exp(d - max(far)) for d in far) + 1e-6)
        n = sum(math.exp(-d) * d for d in near) / (sum(math.exp(-d) for d in near) + 1e-6)
        excess = math.copysign(min((p - n) ** 2, 88), p - n) if squared else p - n
        total += max(excess, 0) + math.log1p(math.exp(-abs(excess)))
    return total / len(labels)


def response(image: Array, power: float) -> Array:
    """Eq. 4 of one map (c, h, w): (h, w)."""
    channels, height, width = image.shape
    f = np.empty((height, width))
    for i, j in np.ndindex(height, width):
        mean = sum(max(float(image[c, i, j]), 0) ** power for c in range(channels)) / channels
        f[i, j] = (mean + 1e-12) ** (1 / power)
    return f


def centre_of(f: Array, temperature: float | None) -> tuple[float, float]:
    """Centre of interest of one response (h, w) in cells; None is the printed argmax."""
    positions = list(np.ndindex(*f.shape))
    if temperature is None:
        row, column = max(positions, key=lambda position: f[position])
        return row + 0.5, column + 0.5
    peak = max(f[position] for position in positions)
    weights = {position: math.exp((f[position] - peak) / temperature) for position in positions}
    total = sum(weights.values())
    return (
        sum(w * (i + 0.5) for (i, _), w in weights.items()) / total,
        sum(w * (j + 0.5) for (_, j), w in weights.items()) / total,
    )


def response_centre(image: Array, power: float, temperature: float | None) -> tuple[float, float]:
    """Centre of interest of one map (c, h, w), eq. 4, in cells."""
    return centre_of(response(image, power), temperature)


def overlap(
    maps: Array,
    size: tuple[int, int],
    separation: float,
    temperature: float | None,
    power: float = 3.0,
    relative: bool = False,
    standardise: bool = False,
) -> float:
    """Eq. 5 of maps (b, branches, c, h, w), mean over pairs of branches, distances in input pixels."""
    responses = [[response(image, power) for image in branches] for branches in maps]
    if relative:
        count = len(maps)
        means = [sum(each[k] for each in responses) / count for k in range(maps.shape[1])]
        responses = [[f - mean for f, mean in zip(each, means, strict=True)] for each in responses]
    if standardise:
        responses = [[(f - f.mean()) / max(float(np.sqrt(((f - f.mean()) ** 2).mean())), 1e-6) for f in each]
                     for each in responses]  # fmt: skip
    total, pairs = 0.0, 0
    for each in responses:
        points = []
        for f in each:
            row, column = centre_of(f, temperature)
            points.append((row * size[0] / f.shape[0], column * size[1] / f.shape[1]))
        for a, b in combinations(points, 2):
            total += max(0.0, separation - math.dist(a, b))
            pairs += 1
    return total / pairs


def numerical_gradient(function: Callable[[Array], float], x: Array, step: float = 1e-6) -> Array:
    """Central differences of a scalar function at every element of ``x``."""
    gradient = np.empty_like(x)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


def paired_triplet(rows: Array, labels: Labels, modalities: Labels, forms: int, margin: float) -> float:
    """MMN: batch-hard triplets of visible images in one form and infrared ones in another, mean over the pairings."""
    each = len(labels) // forms
    total = 0.0
    for own in range(forms):
        for other in range(forms):
            chosen = [i for i in range(own * each, own * each + each) if modalities[i] == 0]
            chosen += [i for i in range(other * each, other * each + each) if modalities[i] == 1]
            total += batch_hard(rows[chosen], [labels[i] for i in chosen], margin)
    return total / forms**2


def pair_margin(rows: Array, labels: Labels, modalities: Labels, forms: int, margin: float) -> float:
    """DEEN: every centre of copies nearer to the other modality's centre than to its own and to strangers."""
    each, people = len(labels) // forms, sorted(set(labels))

    def centre(form: int, person: int, modality: int) -> Array:
        mine = range(form * each, form * each + each)
        chosen = [rows[i] for i in mine if labels[i] == person and modalities[i] == modality]
        return np.asarray(np.mean(chosen, axis=0))

    def nearest(form: int, person: int, modality: int) -> float:
        others = [other for other in people if other != person]
        own = centre(form, person, modality)
        return min(distance(own, centre(form, other, modality)) for other in others)

    total = 0.0
    for form in range(1, forms):
        for modality in (0, 1):
            for person in people:
                copy = centre(form, person, modality)
                across = distance(centre(0, person, 1 - modality), copy)
                limits = (distance(centre(0, person, modality), copy),)
                far = (nearest(form, person, modality), nearest(0, person, modality))
                terms = [max(0.0, margin + across - x) for x in limits]
                terms += [0.5 * max(0.0, margin + across - x) for x in far]
                total += sum(terms) / len(people) / 2
    return total


def hard_to_soft_rank(values: list[float], strength: float) -> list[float]:
    """Soft ranks by pooling adjacent violators: project values / strength onto the permutahedron of 1..n."""
    n = len(values)
    order = sorted(range(n), key=lambda i: -values[i])
    blocks: list[list[float]] = []  # sum and length of runs whose means have to fall
    for place, i in enumerate(order):
        blocks.append([values[i] / strength - (n - place), 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] <= blocks[-1][0] / blocks[-1][1]:
            total, length = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += length
    flat = [total / length for total, length in blocks for _ in range(int(length))]
    ranks = [0.0] * n
    for place, i in enumerate(order):
        ranks[i] = values[i] / strength - flat[place]
    return ranks


def retrieval(rows: Array, labels: Labels, modalities: Labels, strength: float) -> float:
    """MCJA: mean distance of the soft ranks of the other modality's images to 1 for matches, n for the rest."""
    sides = []
    for side in (0, 1):
        gallery = [j for j, m in enumerate(modalities) if m != side]
        terms = []
        for i, m in enumerate(modalities):
            match = [labels[j] == labels[i] for j in gallery]
            if m != side or not any(match) or all(match):
                continue
            cosines = [float(rows[i] @ rows[j] / math.sqrt((rows[i] @ rows[i]) * (rows[j] @ rows[j]))) for j in gallery]
            ranks = hard_to_soft_rank([(1 - c) / 2 for c in cosines], strength)
            terms += [abs(r - (1 if same else len(gallery))) for r, same in zip(ranks, match, strict=True)]
        if terms:
            sides.append(sum(terms) / len(terms))
    return sum(sides) / len(sides)
