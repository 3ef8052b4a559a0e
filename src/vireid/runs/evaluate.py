"""Finished runs on a data set: every setting, feature, and option of it as a result."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

import vireid
from vireid.config import Recipe
from vireid.data.layouts import open_data, open_pixels, record_of
from vireid.data.pixels import PixelStore
from vireid.evaluation.analysis import Analysis, analyse
from vireid.evaluation.protocols import Setting, mixed_setting, settings_for
from vireid.evaluation.ranked import Method
from vireid.evaluation.results import Facts, Result, comparability, evaluate, pool
from vireid.evaluation.uncertainty import Difference, compare
from vireid.training.checkpoint import Run, load_run
from vireid.training.device import default_device, describe
from vireid.training.features import FEATURES, embed
from vireid.training.split import unseen
from vireid.types import Dataset, Features, VireidError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Against:
    """The first run against another, on the same queries and galleries.

    ``name`` is the other run's, ``differences`` are those of the plain results by the setting's name, ``warnings`` say
    what else differs than the model.
    """

    name: str
    differences: dict[str, dict[str, Difference]]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """Results of one or several runs, and what pictures of the first run need.

    ``results`` are ordered by setting, the paper's feature before the other, plain before flip-averaged, cosine before
    other ways of ranking.
    ``features`` are the first run's plain ones after the BNNeck, row by row those of ``dataset.test`` and ``store``;
    ``analyses`` look behind their results by the setting's name, ``against`` compares these with another run's.
    """

    runs: tuple[Run, ...]
    dataset: Dataset
    store: PixelStore
    settings: tuple[Setting, ...]
    features: Features
    results: tuple[Result, ...]
    synthetic: dict[str, Any] | None
    analyses: dict[str, Analysis]
    against: Against | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types: data, runs, results and what must not be compared in one column."""
        return {
            "vireid": vireid.__version__,
            "data": {
                "name": self.dataset.name,
                "layout": self.dataset.layout,
                "trial": self.dataset.trial,
                "synthetic": self.synthetic,
            },
            "runs": [
                {"name": run.folder.name, "precision": run.precision, "device": describe(default_device())}
                | {k: run.info[k] for k in ("layout", "trial", "seed", "git", "versions")}
                for run in self.runs
            ],
            "results": [result.to_dict() for result in self.results],
            "comparability": list(
                comparability(
                    [r for r in self.results if r.setting in self.settings and r.facts == self.results[0].facts]
                )
            ),
            "analyses": {name: analysis.to_dict() for name, analysis in self.analyses.items()},
            "against": {"run": self.against.name, "warnings": list(self.against.warnings)} if self.against else None,
            "differences": asdict(self.against)["differences"] if self.against else {},
        }


def evaluate_runs(
    folders: Sequence[Path],
    data: Path | None,
    *,
    trial: int | None = None,
    gallery: Literal["official", "community"] | None = None,
    multi_shot: bool = False,
    flip: bool = False,
    beside: Sequence[Method] = (),
    against: Path | None = None,
    cache: Path | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate runs on the identities of ``data`` that they did not train on; None: on the set that they render.

    Results of several runs (RegDB: one per trial) are pooled into means over all their trials. They must be runs of one
    recipe, each of another seed or trial.

    Args:
        trial: RegDB split; by default that of the run, or 1 for a run of another layout.
        gallery, multi_shot: see `settings_for`.
        flip: add lines with flip averaging.
        beside: add lines with these ways of ranking.
        against: another run, which the first one is tested against on the same queries and galleries.
        progress: called with (images decoded or embedded, images).

    Raises:
        VireidError: not a run, not a data set, a RegDB run on another trial than its own, runs of which one may not see
            test images of the other, a run whose features are not finite.
    """

    def one(folder: Path) -> Evaluation:
        run = load_run(folder, device or default_device())
        dataset = unseen(open_data(run.recipe.data, data, trial or run.info["trial"] or 1, other=True), run.info)
        if not dataset.test:
            raise VireidError(f"{dataset.source}: {folder} was trained on all of it; evaluate it on another data set")
        settings = settings_for(dataset, gallery_rule=gallery, multi_shot=multi_shot)
        return _evaluate_run(run, dataset, settings, flip, ("cosine", *beside), cache, progress)

    parts = [one(folder) for folder in folders]
    first = parts[0]
    if len(parts) > 1:
        _require_poolable([part.runs[0] for part in parts])
        first = replace(first, analyses={})  # they look behind one run's numbers, not behind the mean
    results = tuple(pool(same) for same in zip(*(part.results for part in parts), strict=True))
    runs = tuple(run for part in parts for run in part.runs)
    return replace(first, runs=runs, results=results, against=_compare(parts[0], one(against)) if against else None)


def _require_poolable(runs: list[Run]) -> None:
    def kind(run: Run) -> Recipe:
        return replace(run.recipe, training=replace(run.recipe.training, seed=0))

    for run in runs[1:]:
        if kind(run) != kind(runs[0]):
            raise VireidError(f"{run.folder}: another recipe than {runs[0].folder}; pool runs of one recipe only")
    draws = [(run.info["trial"], run.info["seed"]) for run in runs]
    for position, draw in enumerate(draws):
        if draw in draws[:position]:
            raise VireidError(f"{runs[position].folder}: same trial and seed as another of the runs; give each once")


def _compare(first: Evaluation, second: Evaluation) -> Against:
    ours, others = ({r.setting.name: r for r in reversed(e.results)} for e in (first, second))
    name = second.runs[0].folder.name
    if list(ours) != list(others):
        raise VireidError(f"{name}: evaluated in other settings than {first.runs[0].folder.name}; give one data set")
    differences = {setting: compare(ours[setting].trials, others[setting].trials) for setting in ours}
    return Against(name, differences, comparability([first.results[0], second.results[0]]))


def _evaluate_run(
    run: Run,
    dataset: Dataset,
    settings: tuple[Setting, ...],
    flip: bool,
    methods: tuple[Method, ...],
    cache: Path | None,
    progress: Progress | None,
) -> Evaluation:
    data = run.recipe.data
    store = open_pixels(dataset, dataset.test, data, cache, progress)
    flips = (False, True) if flip else (False,)
    embedded = {
        flipped: embed(run.network, store, dataset.test, flip=flipped, precision=run.precision, progress=progress)
        for flipped in flips
    }
    if not all(bool(f.embeddings.isfinite().all()) for kinds in embedded.values() for f in kinds.values()):
        raise VireidError(
            f"{run.folder}: its features are not finite; delete the folder to train it again, or lower schedule.lr"
        )
    results = [
        evaluate(embedded[flipped][kind], setting, method=method,
                 facts=Facts(kind, flipped, run.info["checkpoint_rule"]))
        for setting, kind, flipped, method in itertools.product(settings, FEATURES, flips, methods)
    ]  # fmt: skip
    features = embedded[False][FEATURES[0]]
    if len({sample.modality for sample in dataset.test}) > 1:
        facts = Facts(checkpoint_rule=run.info["checkpoint_rule"])
        results.append(evaluate(features, mixed_setting(dataset), facts=facts))
    plain = {r.setting.name: r for r in reversed(results)}  # the first of each setting
    analyses = {name: analyse(features, plain[name]) for name in sorted(plain)}
    made = record_of(dataset)
    return Evaluation((run,), dataset, store, settings, features, tuple(results), made, analyses)
