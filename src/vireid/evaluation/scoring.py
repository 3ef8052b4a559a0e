"""Score features from any model: arrays or a .npz file in, the protocol's numbers out."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vireid.evaluation.analysis import analyse
from vireid.evaluation.protocols import Setting, Trial
from vireid.evaluation.ranked import RankingMethod
from vireid.evaluation.results import Result, score_setting, short_gallery
from vireid.layouts import LayoutSpec, find_layout
from vireid.retrieval.ranking import unit_rows
from vireid.types import Features, VireidError

Arrays = dict[str, npt.NDArray[Any]]
# What NumPy and zipfile raise at files that were damaged, or made to harm.
_UNREADABLE = (ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError,
               ValueError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)  # fmt: skip
_SIDES = ("query", "gallery")
_NAMES = [f"{side}_{kind}" for side in _SIDES for kind in ("features", "ids", "cameras")]


def score_file(path: Path | str, protocol: str, beside: Sequence[RankingMethod] = ()) -> dict[str, Any]:
    """Score one query set against one gallery by cosine similarity.

    Args:
        path: .npz with ``query_features`` and ``gallery_features`` (n, d) floating point, ``query_ids`` and
            ``gallery_ids`` (n,), ``query_cameras`` and ``gallery_cameras`` (n,). Cameras may be left out where nothing
            needs them. Identities are whole numbers on both sides or strings on both sides; strings are equal only
            letter by letter ("7" is not "007"). Cameras are whole numbers.
        protocol: the layout whose rule applies (removals and CMC), see `vireid.layouts.find_layout`. The file's gallery
            is taken as it is; drawing it is up to the author of the file.
        beside: other ways of ranking, whose numbers are added under ``beside``.

    Returns:
        JSON types: rank1, rank5, rank10, rank20, map and minp as fractions in [0, 1]; valid_queries and dropped_queries
        (those without a true match); queries, gallery, protocol, method, intervals (95 %, over identities), chance
        (expected rank1 and map of a random order); beside (of each method the numbers, method, intervals and chance);
        analysis (worst_ranks, worst_quantiles, thresholds, equal_error, det and, where the file has cameras, cameras;
        see `analysis.Analysis`); warnings.

    Raises:
        VireidError: anything wrong with the file; the message names the array and, where there is one, the row.
    """
    layout = find_layout(protocol, "protocol")
    try:
        arrays = _read(Path(path))
        sides = _sides(arrays, layout.rule.needs_cameras or "camera-aware" in beside)
        plain = score(*sides, protocol)
        report: dict[str, Any] = {"protocol": protocol, "queries": len(sides[0]), "gallery": len(sides[1])}
        report |= _numbers(plain)
        report["beside"] = [_numbers(score(*sides, protocol, method=method)) for method in beside]
        report["analysis"] = _analysis(sides, plain, with_cameras="query_cameras" in arrays)
    except VireidError as error:
        raise VireidError(f"{path}: {error}") from error
    ranked = len(torch.unique(sides[1].identities)) if layout.rule.identity_cmc else len(sides[1])
    return report | {"warnings": _warnings(report, layout) + short_gallery(ranked)}


def score(query: Features, gallery: Features, protocol: str = "folder", *, method: RankingMethod = "cosine") -> Result:
    """Score the features of queries against those of a gallery, of whatever model, by the rules of a data set.

    Args:
        query: features of the queries.
        gallery: features of the gallery; it is taken as it is, drawing it is the caller's business.
        protocol: the layout whose rule applies (removals and CMC), see `vireid.layouts.find_layout`.
        method: how the gallery is ranked; all but ``cosine`` are meant to stand beside the plain result.

    Raises:
        VireidError: an unknown protocol or method, sides of different dimension, a row without direction, a camera that
            the protocol does not know, no query with a true match.

    Examples:
        >>> import torch, vireid
        >>> people, cameras = torch.tensor([7, 8, 9]), torch.ones(3, dtype=torch.int64)
        >>> night = vireid.Features(torch.eye(3), people, cameras, modalities=torch.ones_like(people))
        >>> day = vireid.Features(torch.eye(3)[[0, 2, 1]], people, cameras, modalities=torch.zeros_like(people))
        >>> result = vireid.score(night, day)
        >>> round(result.mean["rank1"], 3), round(result.mean["map"], 3)
        (0.333, 0.556)
    """
    layout = find_layout(protocol, "protocol")
    _check_cameras(query, gallery, layout)
    both, rows = _both(query, gallery), np.arange(len(query) + len(gallery))
    trial = Trial(rows[: len(query)], rows[len(query) :])
    setting = Setting(layout.name, "whole", "query-to-gallery", "whole", None, layout.rule, (trial,), official=False)
    return score_setting(both, setting, method=method)


def _both(query: Features, gallery: Features) -> Features:
    if query.embeddings.shape[1] != gallery.embeddings.shape[1]:
        raise VireidError(
            f"gallery: {gallery.embeddings.shape[1]} dimensions, the queries have {query.embeddings.shape[1]}; both "
            "must come from the same model"
        )
    return Features(*(torch.cat([getattr(side, f.name) for side in (query, gallery)]) for f in fields(Features)))


def _numbers(result: Result) -> dict[str, Any]:
    found = {name: list(bounds) for name, bounds in result.intervals.items()}
    return {"method": result.method, **asdict(result.per_trial[0]), "intervals": found, "chance": result.chance}


def _analysis(sides: tuple[Features, Features], result: Result, *, with_cameras: bool) -> dict[str, Any]:
    """Look behind the plain numbers; what a file does not tell (modalities, perhaps cameras) has no table."""
    found = analyse(_both(*sides), result).to_dict()
    names = ("worst_ranks", "worst_quantiles", "thresholds", "equal_error", "det", *["cameras"] * with_cameras)
    return {name: found[name] for name in names}


def _warnings(report: dict[str, Any], layout: LayoutSpec) -> list[str]:
    found = []
    if layout.trials > 1:
        found.append(f"one gallery: published numbers are means over the protocol's {layout.trials} trials")
    if report["dropped_queries"]:
        count, total = report["dropped_queries"], report["queries"]
        found.append(f"{count} of {total} queries have no true match in the gallery and do not count")
    if report["beside"]:
        methods = ", ".join(part["method"] for part in report["beside"])
        found.append(f"{methods}: compare only with numbers that state it, never with plain ones")
    return found


def _read(path: Path) -> Arrays:
    if not path.is_file():
        raise VireidError("no such file; expected a .npz of features")
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise VireidError("not a .npz file (or a truncated one); write it with numpy.savez")
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                return {name: content[name] for name in content.files if name in _NAMES}
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise VireidError(f"cannot be read as .npz ({reason}); write plain arrays with numpy.savez") from error


def _array(arrays: Arrays, name: str) -> npt.NDArray[Any]:
    if name not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise VireidError(f"{name}: array missing (found {found})")
    return arrays[name]


def _features(arrays: Arrays, name: str) -> Tensor:
    array = _array(arrays, name)
    if array.ndim != 2 or array.dtype.kind != "f":
        raise VireidError(
            f"{name}: expected floating-point (n, d), got {array.dtype} of shape {array.shape}; store one feature a row"
        )
    # The byte order of the file may be another than the machine's; long double has no torch type.
    features = torch.from_numpy(array.astype(np.float64 if array.itemsize > 4 else f"f{array.itemsize}"))
    unit_rows(features, name)
    return features


def _sides(arrays: Arrays, needs_cameras: bool) -> tuple[Features, Features]:
    """Check the arrays against one another and return the queries and the gallery."""
    embeddings = [_features(arrays, f"{side}_features") for side in _SIDES]
    if embeddings[0].shape[1] != embeddings[1].shape[1]:
        raise VireidError(
            f"gallery_features: {embeddings[1].shape[1]} dimensions, query_features have {embeddings[0].shape[1]}; "
            "both must come from the same model"
        )
    ids = [_column(arrays, f"{side}_ids", len(rows)) for side, rows in zip(_SIDES, embeddings, strict=True)]
    kinds = ["strings" if side.dtype.kind == "U" else "numbers" for side in ids]
    if kinds[0] != kinds[1]:
        raise VireidError(f"gallery_ids: {kinds[1]}, query_ids are {kinds[0]}; use one kind on both sides")
    # Strings become numbers; only equality matters.
    numbers = torch.from_numpy(np.unique(np.concatenate(ids), return_inverse=True)[1].astype(np.int64))
    found = []
    for side, rows, people in zip(_SIDES, embeddings, numbers.split([len(rows) for rows in embeddings]), strict=True):
        cameras = torch.zeros(len(rows), dtype=torch.int64)
        if needs_cameras or f"{side}_cameras" in arrays:
            column = _column(arrays, f"{side}_cameras", len(rows))
            if column.dtype.kind == "U":
                raise VireidError(f"{side}_cameras: expected whole numbers, got strings; number the cameras")
            cameras = torch.from_numpy(column)
        found.append(Features(rows, people, cameras, torch.zeros_like(people)))
    return found[0], found[1]


def _column(arrays: Arrays, name: str, rows: int) -> npt.NDArray[Any]:
    """Return a label array as int64 or as strings."""
    array = _array(arrays, name)
    if array.shape != (rows,):
        raise VireidError(f"{name}: expected shape ({rows},), one label per feature row, got {array.shape}")
    if array.dtype.kind in "US":
        return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
    whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and bool((array == np.floor(array)).all()))
    if not whole or not bool((np.abs(array.astype(np.float64)) < 2**63).all()):
        raise VireidError(f"{name}: expected whole numbers or strings, got {array.dtype}; use one kind of label")
    return array.astype(np.int64)


def _check_cameras(query: Features, gallery: Features, layout: LayoutSpec) -> None:
    """Refuse camera numbers that SYSU-MM01 does not have: they would switch its rule off without a word."""
    known = sorted(layout.cameras)
    if not (known and layout.rule.never_compared):
        return
    for side, features in zip(_SIDES, (query, gallery), strict=True):
        cameras = features.cameras
        strange = (~torch.isin(cameras, torch.tensor(known, device=cameras.device))).nonzero()
        if len(strange):
            row, numbers = int(strange[0]), f"cameras {known[0]} to {known[-1]}"
            raise VireidError(f"{side}_cameras: row {row} is {int(cameras[row])}; {layout.title} has {numbers}")
