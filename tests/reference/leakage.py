"""What might tell synthetic people apart although it should not: background, files, histograms across modalities.

Every probe ends in a `Finding`, whose chance level is known and whose error comes from the spread over identities. The
tests run the probes small, ``benchmarks/synthetic.py`` runs them large.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from vireid.synthetic import Difficulty, Spectrum, render_with_masks, sample_camera, sample_identity, sample_view
from vireid.types import Sample

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """How well a probe tells people apart; fractions in [0, 1].

    ``separation``: the chance that an image is nearer to another one of its own person than to one of another person
    (ties count half): 0.5 when nothing is learned, 1 when people are told apart always. ``rank1``: share of queries
    whose nearest image shows the same person; a random order reaches ``chance``. Errors are standard errors over
    identities.
    """

    separation: float
    separation_error: float
    rank1: float
    rank1_error: float
    chance: float

    @property
    def excess(self) -> float:
        """Standard errors above chance, of the measure that stands out more."""
        return max((self.separation - 0.5) / self.separation_error, (self.rank1 - self.chance) / self.rank1_error)


@dataclass(frozen=True)
class Pictures:
    """Rendered images, person by person before one camera after the other: ``pixels`` (n, h, w, 3) uint8, ``body``
    (n, h, w) True where the person shows, ``people``, ``cameras``, ``images`` (n,) numbers."""

    pixels: npt.NDArray[np.uint8]
    body: Booleans
    people: Integers
    cameras: Integers
    images: Integers

    def __getitem__(self, rows: Booleans) -> Pictures:
        return Pictures(self.pixels[rows], self.body[rows], self.people[rows], self.cameras[rows], self.images[rows])


def shoot(
    people: Sequence[int],
    cameras: Sequence[int],
    images: int,
    spectrum: Spectrum = Spectrum.VISIBLE,
    difficulty: Difficulty | float = 0.3,
    *,
    seed: int = 0,
    height: int = 48,
    stature: float | None = None,
) -> Pictures:
    """Render ``images`` images of every person before every camera, ``height`` x ``height / 2`` pixels.

    ``stature`` gives everybody one height in metres.
    """
    keys = [(person, camera, image) for camera in cameras for person in people for image in range(1, images + 1)]
    known = {person: sample_identity(seed, person, difficulty) for person in people}
    if stature is not None:
        known = {key: replace(who, build=replace(who.build, height=stature)) for key, who in known.items()}
    places = {camera: sample_camera(seed, camera) for camera in cameras}
    views = [sample_view(seed, person, places[camera], image, difficulty) for person, camera, image in keys]
    pixels, body = render_with_masks([known[key[0]] for key in keys], views, spectrum, height, height // 2)
    numbers = np.array(keys, dtype=np.int64)
    return Pictures(pixels.numpy(), body.numpy(), *numbers.T)


def judge(distance: Array, query: Integers, gallery: Integers, allowed: Booleans | None = None) -> Finding:
    """Turn a probe's distances (queries, gallery) into a finding.

    ``query`` and ``gallery`` are the identities; ``allowed`` (queries, gallery) says which pairs count. Queries without
    an image of their own person do not count.
    """
    same = query[:, None] == gallery[None, :]
    other = ~same
    if allowed is not None:
        same, other = same & allowed, other & allowed
    rows = np.flatnonzero(same.any(axis=1))
    values = np.array([_judge_one(distance[row][same[row]], distance[row][other[row]]) for row in rows])
    people, index, counts = np.unique(query[rows], return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(index, weights=column) / counts for column in values.T])
    errors = means.std(axis=1, ddof=1) / np.sqrt(len(people))
    separation, rank1, chance = (float(mean) for mean in means.mean(axis=1))
    # hits are rare where little is learned: their spread alone would say that a probe without one is exact
    least = float(np.sqrt(chance * (1.0 - chance) / len(rows)))
    return Finding(separation, max(float(errors[0]), 1e-9), rank1, max(float(errors[1]), least), chance)


def _judge_one(own: Array, others: Array) -> tuple[float, float, float]:
    """Return separation, rank-1 (ties share) and the chance of rank-1 for one query."""
    ordered = np.sort(others)
    nearer_or_tied = np.searchsorted(ordered, own, "left") + np.searchsorted(ordered, own, "right")
    nearest = min(own.min(), ordered[0])
    hits, misses = int((own == nearest).sum()), int((others == nearest).sum())
    chance = len(own) / (len(own) + len(others))
    return 1.0 - float(nearer_or_tied.mean()) / 2.0 / len(others), hits / (hits + misses), chance


def squares(first: Array, second: Array) -> Array:
    """Return squared Euclidean distances (n, m) of the rows of (n, d) and (m, d)."""
    return np.asarray((first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * first @ second.T)


def ridge(train: Array, labels: Integers, test: Array, truth: Integers, strength: float = 1.0) -> Finding:
    """Learn to name the people of ``train`` (n, d) by ridge regression, and let it name ``test`` (m, d)."""
    centre, scale = train.mean(axis=0), train.std()
    known, asked = (train - centre) / scale, (test - centre) / scale
    people, index = np.unique(labels, return_inverse=True)
    kernel = known @ known.T
    penalty = strength * np.trace(kernel) / len(kernel) * np.eye(len(kernel))
    weights = np.linalg.solve(kernel + penalty, np.eye(len(people))[index])
    return judge(-(asked @ known.T) @ weights, truth, people)


# background ----------------------------------------------------------------------------------------------------


def background(pictures: Pictures, reach: int = 3) -> tuple[Array, Array]:
    """Return what is left without the person: pixels less their camera's mean, and 1 where they show, (n, h * w * 3).

    The mask is widened by ``reach`` pixels for what blur carries outside. Hidden pixels are 0.
    """
    shown = np.repeat(~_widen(pictures.body, reach).reshape(len(pictures.body), -1), 3, axis=1).astype(np.float64)
    pixels = pictures.pixels.reshape(len(shown), -1) * shown
    for camera in np.unique(pictures.cameras):
        mine = pictures.cameras == camera
        pixels[mine] -= pixels[mine].sum(axis=0) / shown[mine].sum(axis=0).clip(min=1.0)
    return pixels * shown, shown


def _widen(mask: Booleans, reach: int) -> Booleans:
    for axis in (1, 2):
        margins = [(0, 0), (0, 0), (0, 0)]
        margins[axis] = (reach, reach)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(mask, margins), 2 * reach + 1, axis=axis)
        mask = np.asarray(windows.any(axis=-1))
    return mask


def nearest_background(pictures: Pictures, *, across_cameras: bool) -> Finding:
    """Compare backgrounds pixel by pixel where both images show them.

    Only common pixels count, and by their mean, so that the shape of the hole, which is the person's, does not.
    """
    pixels, shown = background(pictures)
    common = shown @ shown.T
    energy = (pixels**2) @ shown.T
    distance = (energy + energy.T - 2.0 * pixels @ pixels.T) / common.clip(min=1.0)
    same_camera = pictures.cameras[:, None] == pictures.cameras
    allowed = ~same_camera if across_cameras else same_camera & ~np.eye(len(pixels), dtype=bool)
    return judge(distance, pictures.people, pictures.people, allowed & (common > 0))


def borders(pictures: Pictures) -> Array:
    """Return mean and spread of each channel in the four corners of the background, (n, 24)."""
    pixels, shown = (values.reshape(*pictures.body.shape, 3) for values in background(pictures))
    high, wide = pictures.body.shape[1] // 3, pictures.body.shape[2] // 4
    features = []
    for rows in (slice(None, high), slice(-high, None)):
        for columns in (slice(None, wide), slice(-wide, None)):
            corner = pixels[:, rows, columns]
            count = shown[:, rows, columns].sum(axis=(1, 2)).clip(min=1.0)
            mean = corner.sum(axis=(1, 2)) / count
            spread = (corner**2).sum(axis=(1, 2)) / count - mean**2
            features += [mean, np.sqrt(spread.clip(min=0.0))]
    return np.concatenate(features, axis=1)


def named_by_ridge(pictures: Pictures, features: Array, train: Booleans) -> Finding:
    """Learn names from the pictures ``train`` (n,) of every person and name the rest; ``features`` (n, d)."""
    return ridge(features[train], pictures.people[train], features[~train], pictures.people[~train])


# files ---------------------------------------------------------------------------------------------------------


def file_facts(samples: Sequence[Sample]) -> dict[str, Array]:
    """Return what a file says without its picture and its folder: one number each for every sample, (n,).

    Sizes are given less their camera's mean, as cameras differ in compression.
    """
    stats = [sample.path.stat() for sample in samples]
    cameras = np.array([sample.camera for sample in samples])
    size = np.array([stat.st_size for stat in stats], dtype=np.float64)
    for camera in np.unique(cameras):
        size[cameras == camera] -= size[cameras == camera].mean()
    tables = []
    for sample in samples:
        with Image.open(sample.path) as image:
            tables.append(str(getattr(image, "quantization", None)) + str(sorted(image.info)))
    return {
        "file size": size,
        "modification time": np.array([stat.st_mtime for stat in stats]),
        "number in the name": np.array([float("".join(filter(str.isdigit, s.path.stem))) for s in samples]),
        "JPEG tables and header": np.unique(tables, return_inverse=True)[1].astype(np.float64),
    }


def by_fact(fact: Array, samples: Sequence[Sample], *, across_cameras: bool) -> Finding:
    """Compare files by one number each, (n,), within cameras or across."""
    people = np.array([sample.identity for sample in samples])
    cameras = np.array([sample.camera for sample in samples])
    same_camera = cameras[:, None] == cameras
    allowed = ~same_camera if across_cameras else same_camera & ~np.eye(len(fact), dtype=bool)
    return judge(np.abs(fact[:, None] - fact), people, people, allowed)


def size_of_corners(pictures: Pictures, quality: int = 92) -> Finding:
    """Compare sizes of the JPEG files of the pictures' upper corners, which no person reaches; others are left out."""
    high, wide = pictures.body.shape[1] // 6, pictures.body.shape[2] // 4
    reached = _widen(pictures.body, 3)[:, :high, np.r_[:wide, -wide:0]]
    kept = pictures[~np.asarray(reached.any(axis=(1, 2)))]
    corners = kept.pixels[:, :high, np.r_[:wide, -wide:0]]
    return _by_size(kept, corners, quality)


def size_of_people(pictures: Pictures, quality: int = 92) -> Finding:
    """Compare sizes of the JPEG files of the pictures with everything but the person painted grey."""
    return _by_size(pictures, np.where(pictures.body[..., None], pictures.pixels, np.uint8(128)), quality)


def _by_size(pictures: Pictures, pixels: npt.NDArray[np.uint8], quality: int) -> Finding:
    sizes = []
    for picture in pixels:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        sizes.append(float(buffer.tell()))
    size, people = np.array(sizes), pictures.people
    allowed = (pictures.cameras[:, None] == pictures.cameras) & ~np.eye(len(size), dtype=bool)
    return judge(np.abs(size[:, None] - size), people, people, allowed)


# histograms ----------------------------------------------------------------------------------------------------


def histograms(pictures: Pictures, *, body: bool, colour: bool = False) -> Array:
    """Return the root of the shares of 32 grey levels, or of 64 colours, in whole pictures or bodies: (n, bins)."""
    shown = pictures.body if body else np.ones_like(pictures.body)
    if colour:
        bins, levels = 64, (pictures.pixels >> 6).astype(np.int64) @ np.array([16, 4, 1])
    else:
        bins, levels = 32, (pictures.pixels @ np.array([0.299, 0.587, 0.114]) / 8.0).astype(np.int64)
    counts = [np.bincount(one[mask], minlength=bins) for one, mask in zip(levels, shown, strict=True)]
    shares = np.array(counts, dtype=np.float64)
    return np.asarray(np.sqrt(shares / shares.sum(axis=1, keepdims=True).clip(min=1.0)))


def compared_histograms(query: Pictures, gallery: Pictures, *, body: bool) -> Finding:
    """Compare the grey histograms of pictures of two modalities as they are (Hellinger distance)."""
    distance = squares(histograms(query, body=body), histograms(gallery, body=body))
    return judge(distance, query.people, gallery.people)


def learned_histograms(query: Pictures, gallery: Pictures, *, body: bool) -> Finding:
    """Learn to foretell a person's infrared histogram from grey and colour ones, on half of the people; test on others.

    ``query`` is infrared, ``gallery`` visible. Stronger than any comparison of the histograms as they are.
    """
    learning = np.unique(query.people)[::2]
    infrared = histograms(query, body=body)
    seen = np.concatenate([histograms(gallery, body=body), histograms(gallery, body=body, colour=True)], axis=1)
    train, test = np.isin(gallery.people, learning), ~np.isin(query.people, learning)
    target = np.stack([infrared[query.people == person].mean(axis=0) for person in gallery.people[train]])
    known = seen[train] - seen[train].mean(axis=0)
    penalty = 0.05 * np.trace(known.T @ known) * np.eye(known.shape[1])
    weights = np.linalg.solve(known.T @ known + penalty, known.T @ (target - target.mean(axis=0)))
    foretold = (seen[~train] - seen[train].mean(axis=0)) @ weights + target.mean(axis=0)
    return judge(squares(infrared[test], foretold), query.people[test], gallery.people[~train])
