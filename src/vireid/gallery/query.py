"""Steps of a search that all galleries share: averaging the query, re-ranking, grouping by track."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from vireid.deploy.embedder import Vectors
from vireid.gallery.milvus import MOST
from vireid.gallery.records import EVERYTHING, Entry, Gallery, Match, Where
from vireid.types import VireidError

SHORTLIST = 200
"""Entries that re-ranking considers besides the query; more if more are requested."""
_K1 = 20
_TRACKS = 256
"""Largest number of tracks in one search; a service accepts no longer lists of names."""


def one_person(query: Vectors, dimension: int, top: int) -> Vectors:
    """Return the vector (dimension,) for the images (n, dimension) of one person: their mean, scaled to length 1.

    Raises:
        VireidError: no image, vectors of another dimension, a mean without direction, ``top`` out of range.
    """
    if query.ndim != 2 or not len(query) or query.shape[1] != dimension:
        raise VireidError(f"query: expected vectors of shape (images, {dimension}), got {query.shape}")
    _check_top(top)
    mean = query.astype(np.float32).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if not np.isfinite(length) or length < 1e-6:
        raise VireidError("query: the vectors have no common direction; are they images of one person?")
    return np.asarray(mean / length, np.float32)


def answer(
    find: Callable[[int], list[Match]],
    vectors: Callable[[Sequence[str]], Vectors],
    person: Vectors,
    top: int,
    rerank: bool,
) -> list[Match]:
    """Return the best ``top`` matches that ``find`` (number -> matches, best first) gives for a person.

    With ``rerank``, a shortlist of at least `SHORTLIST` is sorted by k-reciprocal re-ranking (Zhong et al., CVPR 2017)
    of the person and the shortlist; the scores stay cosines.
    """
    if not rerank:
        return find(top)
    matches = find(max(top, SHORTLIST))
    if len(matches) < 2:
        return matches[:top]
    import torch

    from vireid.retrieval.reranking import KReciprocalRanking

    found = torch.from_numpy(vectors([match.entry.id for match in matches]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="re-ranking: k1")  # a short list has fewer neighbours
        ranking = KReciprocalRanking(torch.from_numpy(person[None]), found, k1=_K1)
    order = ranking.top(len(matches)).rows[0].tolist()
    return [matches[row] for row in order[:top]]


def search_groups(
    gallery: Gallery,
    query: Vectors,
    top: int,
    where: Where = EVERYTHING,
    rerank: bool = False,
    tracks: bool = False,
    unwanted: Collection[str] = (),
) -> list[list[Match]]:
    """Return the best ``top`` images for one person, each in its own group, without the ``unwanted`` ones.

    With ``tracks``, return the best ``top`` tracks with all their images that ``where`` allows, grouped by `by_track`.
    At most `MOST` images are considered.

    Raises:
        VireidError: ``top`` out of range, or the gallery raises it.
    """
    _check_top(top)

    def find(number: int, where: Where, rerank: bool) -> list[Match]:
        matches = gallery.search(query, min(MOST, number + len(unwanted)), where, rerank)
        return [match for match in matches if match.entry.id not in unwanted][:number]

    if not tracks:
        return [[match] for match in find(top, where, rerank)]
    number = min(MOST, 2 * top)
    while len(matches := find(number, where, rerank)) == number < MOST and len(by_track(matches)) < top:
        number = min(MOST, 2 * number)
    if len(matches) == number:  # there are more, some perhaps of these tracks
        matches += _others(by_track(matches)[:top], lambda within: find(MOST, within, False), where)
    return by_track(matches)[:top]


def _others(groups: list[list[Match]], find: Callable[[Where], list[Match]], where: Where) -> list[Match]:
    """Return the matches that ``find`` gives for the tracks of the groups and that are not in ``groups``."""
    known = {match.entry.id for group in groups for match in group}
    entries = [group[0].entry for group in groups]
    names = sorted({entry.track for entry in entries if entry.track})
    cameras = tuple(sorted({entry.camera for entry in entries if entry.track}))
    found: list[Match] = []
    for start in range(0, len(names), _TRACKS):
        some = where if len(cameras) > _TRACKS else replace(where, cameras=cameras)
        found += find(replace(some, tracks=tuple(names[start : start + _TRACKS])))
    return [match for match in found if match.entry.id not in known]


def by_track(matches: Sequence[Match]) -> list[list[Match]]:
    """Group matches by camera and track, in the order of the best match of each group.

    An entry without a track forms its own group.
    """
    groups: dict[object, list[Match]] = {}
    for match in matches:
        entry: Entry = match.entry
        groups.setdefault((entry.camera, entry.track) if entry.track else entry.id, []).append(match)
    return list(groups.values())


def _check_top(top: int) -> None:
    if not 1 <= top <= MOST:
        raise VireidError(f"top: expected 1 to {MOST}, got {top}")


def require_restriction(where: Where) -> None:
    """Raise `VireidError` for a removal of everything, which must not happen because a field was left out."""
    if where == Where():
        raise VireidError("remove: say which images, by id, camera, track, modality or time span")


def whole_id(gallery: Gallery, start: str) -> str:
    """Return the id that begins with ``start``, as shown in a table.

    Raises:
        VireidError: no id begins so, or several do.
    """
    found = [entry.id for entry in gallery.entries(limit=2, after=start[:63]) if entry.id.startswith(start)]
    if len(found) != 1 or len(start) < 4:
        count = "several images have" if len(found) > 1 else "no image in the gallery has"
        raise VireidError(f"image {start[:80]!r}: {count} this id; `vireid gallery list STORE` shows what is there")
    return found[0]
