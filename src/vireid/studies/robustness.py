"""`vireid noise`: accuracy on corrupted queries, saved result by result, and the corruption errors."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vireid.data.layouts import open_dataset, open_pixels, record_of
from vireid.data.pixels import PixelStore
from vireid.deploy.embedder import Embedder, embed_samples, unseen_by
from vireid.deploy.load import load_model
from vireid.evaluation.protocols import Rows, Setting, settings_for
from vireid.evaluation.results import score_setting
from vireid.figures.corruption import contact_sheet, corruption_figure
from vireid.figures.style import write_figure
from vireid.files import atomic_path, read_json, write_json
from vireid.parallel import Progress
from vireid.reproduce.measured import Value
from vireid.reproduce.tables import Block, ResultTable, Row, write_csv, write_latex
from vireid.runs.evaluation import open_test
from vireid.studies import corruptions
from vireid.studies.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from vireid.training.split import fingerprint
from vireid.types import Dataset, Features, Sample, VireidError

NUMBERS = {"rank1": "R1", "map": "mAP"}
COLUMNS = {"clean": "clean"} | {str(s): str(s) for s in STRENGTHS} | {"ce": "CE"}
SHEET_SIZE = (144, 72)
SHEET_STRENGTHS = (1, 3, 5)
CONSTANTS = ("NOISE", "BLUR", "STOPS", "OCCLUSION", "JPEG", "FOG", "PHOTONS", "GAMMA", "FOG_LEVEL", "FOG_GRID")


@dataclass(frozen=True)
class RunScores:
    """Accuracy of a run: ``clean[setting]`` and ``corrupted[setting][corruption][strength - 1]`` map rank1 and map to
    fractions. ``data`` names the data set, and says if it is rendered."""

    run: str
    data: str
    clean: dict[str, dict[str, float]]
    corrupted: dict[str, dict[str, list[dict[str, float]]]]

    def curve(self, setting: str, number: str) -> list[float]:
        """Return the clean value, then the mean over the corruptions for each strength."""
        means = [
            statistics.fmean(levels[s - 1][number] for levels in self.corrupted[setting].values()) for s in STRENGTHS
        ]
        return [self.clean[setting][number], *means]

    def errors(self, first: RunScores, setting: str, number: str) -> dict[str, float]:
        """Return corruption errors in percent of those of ``first``, and their mean under ``mean``.

        CE_c = 100 sum_s (1 - a_cs) / sum_s (1 - a'_cs), Hendrycks and Dietterich (2019), with rank-1 or mAP as the
        accuracy a.
        """

        def error(levels: list[dict[str, float]]) -> float:
            return max(
                sum(1 - level[number] for level in levels), 1e-9
            )  # avoids division by zero for a run without errors

        ours, theirs = self.corrupted[setting], first.corrupted[setting]
        found = {kind: 100 * error(ours[kind]) / error(theirs[kind]) for kind in ours}
        return found | {"mean": statistics.fmean(found.values())}


def score_models(
    sources: Sequence[Path | str],
    data: Path | None,
    out: Path,
    *,
    gallery: bool = False,
    progress: Progress | None = None,
) -> list[RunScores]:
    """Score models, clean and corrupted, in the official settings of the layout (plain folder: both settings).

    Every result is saved in ``out / "cells"``; results for the same model, data and strengths are not computed again.

    Args:
        sources: folders or files that `load_model` takes; their names are the results'.
        data: the data set; None for the one that the runs render.
        gallery: corrupt the gallery as well as the queries.
        progress: called with (finished results, all results).

    Raises:
        VireidError: no model, two models with one name, not a model, not a data set, or a folder cannot be written.
    """
    names = [Path(source).absolute().name for source in sources]
    if not names or len(set(names)) != len(names):
        raise VireidError(f"noise: expected one or more models of different names, got {', '.join(names) or None}")
    total = len(names) * (1 + len(CORRUPTIONS) * len(STRENGTHS))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    return [
        _score(load_model(source), name, data, out / "cells", gallery, step)
        for source, name in zip(sources, names, strict=True)
    ]


def _score(
    model: Embedder, name: str, data: Path | None, cells: Path, gallery: bool, step: Callable[[], None]
) -> RunScores:
    dataset = unseen_by(model, open_test(model, data))
    settings = settings_for(dataset)
    settings = tuple(s for s in settings if s.official) or settings
    key = _key(model, dataset, gallery)
    work = _Work(model, dataset, settings, gallery)

    def cell(kind: str, strength: int) -> dict[str, dict[str, float]]:
        path = cells / name / f"{kind.replace(' ', '-').lower()}-{strength}.json"
        kept = read_json(path, "a result of vireid noise; delete it") if path.exists() else {}
        if kept.get("key") != key:
            kept = {"key": key, "scores": work.scores(kind, strength)}
            write_json(path, kept)
        step()
        scores: dict[str, dict[str, float]] = kept["scores"]
        return scores

    clean = cell("clean", 0)
    found = {kind: [cell(kind, strength) for strength in STRENGTHS] for kind in CORRUPTIONS}
    corrupted = {s.name: {kind: [level[s.name] for level in found[kind]] for kind in found} for s in settings}
    label = f"{dataset.name}{' (rendered)' if record_of(dataset) else ''}"
    return RunScores(name, label, clean, corrupted)


class _Work:
    """State shared by the results of one model; images are decoded and clean features computed when first needed."""

    def __init__(self, model: Embedder, dataset: Dataset, settings: tuple[Setting, ...], gallery: bool) -> None:
        self._model, self._dataset, self._settings = model, dataset, settings
        sides = [t.query for s in settings for t in s.trials]
        sides += [t.gallery for s in settings for t in s.trials] if gallery else []
        self._rows = np.unique(np.concatenate(sides))
        self._clean: tuple[PixelStore, Features] | None = None

    def scores(self, kind: str, strength: int) -> dict[str, dict[str, float]]:
        if self._clean is None:
            store = open_pixels(self._dataset, self._dataset.test, self._model)
            self._clean = store, self._embedded(store, self._dataset.test)
        store, features = self._clean
        if strength:
            features = self._corrupted(store, features, kind, strength)
        means = {setting.name: score_setting(features, setting).mean for setting in self._settings}
        return {name: {number: mean[number] for number in NUMBERS} for name, mean in means.items()}

    def _corrupted(self, store: PixelStore, clean: Features, kind: str, strength: int) -> Features:
        samples = [self._dataset.test[row] for row in self._rows]
        corrupted = _Corrupted(store, self._rows, samples, kind, strength)
        embeddings = clean.embeddings.clone()
        embeddings[self._rows] = self._embedded(corrupted, samples).embeddings
        return Features(embeddings, clean.identities, clean.cameras, clean.modalities)

    def _embedded(self, store: PixelStore, samples: Sequence[Sample]) -> Features:
        return embed_samples(self._model, store, samples)[self._model.kinds[0]]


class _Corrupted(PixelStore):
    """Some rows of a store, corrupted when they are asked for, one modality at a time."""

    def __init__(self, store: PixelStore, rows: Rows, samples: Sequence[Sample], kind: str, strength: int) -> None:
        self._store, self._rows, self._samples, self._how = store, rows, samples, (kind, strength)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, rows: Rows | Tensor) -> Tensor:
        """See `PixelStore.batch`."""
        index = np.asarray(rows)
        clean = self._rows[index]
        return corrupt(self._store.batch(clean), *self._how, self._samples[int(index[0])].modality, clean)


def _key(model: Embedder, dataset: Dataset, gallery: bool) -> str:
    facts: list[Any] = [model.fingerprint, model.precision, fingerprint(dataset), dataset.trial, gallery]
    facts += [getattr(corruptions, name) for name in CONSTANTS]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def noise_table(found: Sequence[RunScores]) -> ResultTable:
    """Return a table with one block per setting and number; rows are runs x corruptions and their mean, the curve."""
    blocks = []
    for setting in found[0].clean:
        for number, title in NUMBERS.items():
            rows = [row for scores in found for row in _rows(scores, found[0], setting, number)]
            label = f"{title} on {found[0].data}, {setting}"
            blocks.append(
                Block(label, "measured", found[0].data, ((f"{title}, {setting}", len(COLUMNS)),), tuple(rows))
            )
    caption = f"Accuracy under corruption in percent; CE is the corruption error, {found[0].run} = 100."
    return ResultTable("noise", caption, ("run", "corruption"), COLUMNS, tuple(blocks))


def _rows(scores: RunScores, first: RunScores, setting: str, number: str) -> list[Row]:
    errors = scores.errors(first, setting, number)
    lines = _lines(scores, setting, number)
    return [
        Row((scores.run, kind),
            dict(zip(COLUMNS, map(Value, (*values, errors[kind])), strict=True)))
        for kind, values in lines.items()
    ]  # fmt: skip


def _lines(scores: RunScores, setting: str, number: str) -> dict[str, list[float]]:
    """Return percentages for clean and each strength: the mean first, then every corruption."""
    clean = scores.clean[setting][number]
    lines = {"mean": scores.curve(setting, number)}
    lines |= {kind: [clean, *(v[number] for v in levels)] for kind, levels in scores.corrupted[setting].items()}
    return {kind: [100 * value for value in values] for kind, values in lines.items()}


def noise_report(found: Sequence[RunScores]) -> dict[str, Any]:
    """Return everything as JSON types, with numbers in percent."""
    return {
        "data": found[0].data,
        "reference": found[0].run,
        "runs": {
            scores.run: {
                setting: {
                    number: {
                        "accuracy": _lines(scores, setting, number),
                        "corruption_error": scores.errors(found[0], setting, number),
                        "mean_over_all": 100 * statistics.fmean(scores.curve(setting, number)[1:]),
                    }
                    for number in NUMBERS
                }
                for setting in scores.clean
            }
            for scores in found
        },
    }


def write_noise(out: Path, found: Sequence[RunScores]) -> None:
    """Write ``noise.csv``, ``.tex``, ``.pdf`` and ``.png``; the figure shows the mAP in the first setting.

    Raises:
        VireidError: the report extra is not installed, or the folder cannot be written.
    """
    table = noise_table(found)
    write_csv(out / "noise.csv", table)
    write_latex(out / "noise.tex", table)
    setting = next(iter(found[0].clean))
    lines = {scores.run: _lines(scores, setting, "map") for scores in found}
    panels = {kind: {run: kinds[kind] for run, kinds in lines.items()} for kind in ("mean", *CORRUPTIONS)}
    figure = corruption_figure(panels, "mAP", f"{found[0].data}, {setting}")
    for suffix in (".pdf", ".png"):
        write_figure(out / f"noise{suffix}", figure)


def write_sheet(out: Path, data: Path) -> None:
    """Write ``corruptions.png``: a test image of each modality in every corruption at strengths 1, 3 and 5.

    Raises:
        VireidError: not a data set, a folder that cannot be written.
    """
    dataset = open_dataset(data)
    pictures: dict[str, list[np.ndarray[Any, np.dtype[np.uint8]]]] = {kind: [] for kind in CORRUPTIONS}
    modalities = sorted({sample.modality for sample in dataset.test})
    for modality in modalities:
        samples = [s for s in dataset.test if s.modality == modality][:1]
        clean = PixelStore.build(samples, *SHEET_SIZE).batch(np.array([0]))
        for kind, row in pictures.items():
            strong = [corrupt(clean, kind, s, modality, np.array([0])) for s in SHEET_STRENGTHS]
            row += [image[0].permute(1, 2, 0).numpy() for image in (clean, *strong)]
    columns = ("clean", *map(str, SHEET_STRENGTHS)) * len(modalities)
    with atomic_path(out / "corruptions.png") as path:
        contact_sheet(pictures, columns).save(path, optimize=True)
