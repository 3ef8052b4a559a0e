"""Evaluation of models on a data set: one result for each setting, feature and option."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

import vireid
from vireid.config import DataConfig, Recipe
from vireid.data.layouts import open_data, open_pixels, record_of
from vireid.data.pixels import PixelStore
from vireid.deploy.embedder import Embedder, embed_samples, unseen_by
from vireid.deploy.load import ModelLike, load_model
from vireid.deploy.run import RunEmbedder
from vireid.evaluation.analysis import Analysis, analyse
from vireid.evaluation.protocols import Setting, mixed_setting, settings_for
from vireid.evaluation.ranked import RankingMethod
from vireid.evaluation.records import DataRecord, EvaluationRecord, ModelRecord
from vireid.evaluation.results import Facts, Result, comparability, pool, score_setting
from vireid.evaluation.uncertainty import Difference, compare
from vireid.parallel import Progress
from vireid.training.checkpoint import Run
from vireid.types import Dataset, Features, VireidError


@dataclass(frozen=True)
class Against:
    """The first model against another, on the same queries and galleries.

    ``name`` is the other model's, ``differences`` are those of the plain results by the setting's name, ``warnings``
    say what else differs than the model.
    """

    name: str
    differences: dict[str, dict[str, Difference]]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """Results of one or several models, and what pictures of the first need; `vireid.evaluate` makes it.

    ``results`` are ordered by setting, the paper's feature before the other, plain before flip-averaged, cosine before
    other ways of ranking.
    ``features`` are the first model's plain ones for retrieval, row by row those of ``dataset.test`` and ``store``;
    ``analyses`` look behind their results by the setting's name, ``against`` compares these with another model's.

    Examples:
        >>> import vireid
        >>> data = vireid.render("sysu", 24, images=1, height=64, width=32)
        >>> run = "runs/tiny"  # of the example of `vireid.train`
        >>> evaluation = vireid.evaluate(run, data, beside=["query-expansion"])
        >>> sorted({result.method for result in evaluation.results})
        ['cosine', 'query-expansion']
        >>> evaluation.to_dict()["data"]["layout"]
        'sysu'
    """

    models: tuple[Embedder, ...]
    dataset: Dataset
    store: PixelStore
    settings: tuple[Setting, ...]
    features: Features
    results: tuple[Result, ...]
    synthetic: dict[str, Any] | None
    analyses: dict[str, Analysis]
    against: Against | None = None

    def record(self) -> EvaluationRecord:
        """Return what is written of the evaluation: data, models, results and what no column may mix."""
        told = [r for r in self.results if r.setting in self.settings and r.facts == self.results[0].facts]
        other = self.against
        return EvaluationRecord(
            vireid=vireid.__version__,
            data=DataRecord(self.dataset.name, self.dataset.layout, self.dataset.trial, self.synthetic),
            runs=tuple(
                ModelRecord(
                    model.name,
                    model.precision,
                    model.device,
                    **{name: model.info.get(name) for name in ("layout", "trial", "seed", "git", "versions")},
                )
                for model in self.models
            ),
            results=tuple(result.record() for result in self.results),
            comparability=comparability(told),
            analyses={name: analysis.to_dict() for name, analysis in self.analyses.items()},
            against={"run": other.name, "warnings": list(other.warnings)} if other else None,
            differences=asdict(other)["differences"] if other else {},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return self.record().to_dict()


def evaluate(
    models: ModelLike | Sequence[ModelLike],
    data: Dataset | Path | str | None = None,
    *,
    trial: int | None = None,
    gallery: Literal["official", "community"] | None = None,
    multi_shot: bool = False,
    flip: bool = False,
    beside: Sequence[RankingMethod] = (),
    against: ModelLike | None = None,
    cache: Path | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model on the test part of a data set, in every setting of its protocol.

    Identities that the model was trained on are left out. Results of several runs (RegDB: one per trial) are pooled
    into means over all their trials. They must be runs of one recipe, each of another seed or trial.

    Args:
        models: whatever `load_model` takes, or a list of several.
        data: a data set or its root; None: the set that the run's recipe renders.
        trial: RegDB split; by default that of the run, or 1 for a run of another layout.
        gallery: how the galleries of SYSU-MM01 are drawn, see `settings_for`.
        multi_shot: add SYSU-MM01's multi-shot galleries.
        flip: add lines with flip averaging.
        beside: add lines with these ways of ranking.
        against: another model, which the first one is tested against on the same queries and galleries.
        progress: called with (images decoded or embedded, images).

    Raises:
        VireidError: not a model, not a data set, a RegDB run on another trial than its own, runs of which one may not
            see test images of the other, a model whose features are not finite.

    Examples:
        >>> import vireid
        >>> data = vireid.render("sysu", 24, images=1, height=64, width=32)
        >>> evaluation = vireid.evaluate("runs/tiny", data)  # of the example of `vireid.train`
        >>> first = evaluation.results[0]
        >>> first.setting.name
        'sysu all infrared-to-visible single-shot official'
        >>> 0 <= first.mean["minp"] <= first.mean["map"] <= 1
        True
    """
    several: Sequence[ModelLike] = models if isinstance(models, list | tuple) else [models]  # type: ignore[list-item]

    def one(source: ModelLike) -> Evaluation:
        model = load_model(source, device=device)
        dataset = unseen_by(model, open_test(model, data, trial))
        settings = settings_for(dataset, gallery_rule=gallery, multi_shot=multi_shot)
        return _evaluate(model, dataset, settings, flip, ("cosine", *beside), cache, progress)

    parts = [one(model) for model in several]
    first = parts[0]
    if len(parts) > 1:
        _require_poolable([part.models[0] for part in parts])
        first = replace(first, analyses={})  # they look behind one run's numbers, not behind the mean
    results = tuple(pool(same) for same in zip(*(part.results for part in parts), strict=True))
    loaded = tuple(model for part in parts for model in part.models)
    return replace(first, models=loaded, results=results, against=_compare(parts[0], one(against)) if against else None)


def open_test(model: Embedder, data: Dataset | Path | str | None, trial: int | None = None) -> Dataset:
    """Open the data set that a model is tested on, None: the one that its run renders.

    Raises:
        VireidError: not a data set, or none given for a model that renders none.
    """
    config = model.run.recipe.data if isinstance(model, RunEmbedder) else DataConfig()
    return open_data(config, data, trial or model.info.get("trial") or 1, other=True)


def _require_poolable(models: list[Embedder]) -> None:
    def kind(run: Run) -> Recipe:
        return replace(run.recipe, training=replace(run.recipe.training, seed=0))

    for model in models:
        if not isinstance(model, RunEmbedder):
            raise VireidError(f"{model.name}: not a run; results of runs alone are pooled, give one model at a time")
    runs = [model.run for model in models if isinstance(model, RunEmbedder)]
    for run in runs[1:]:
        if kind(run) != kind(runs[0]):
            raise VireidError(f"{run.folder}: another recipe than {runs[0].folder}; pool runs of one recipe only")
    draws = [(run.info["trial"], run.info["seed"]) for run in runs]
    for position, draw in enumerate(draws):
        if draw in draws[:position]:
            raise VireidError(f"{runs[position].folder}: same trial and seed as another of the runs; give each once")


def _compare(first: Evaluation, second: Evaluation) -> Against:
    ours, others = ({r.setting.name: r for r in reversed(e.results)} for e in (first, second))
    model, other = first.models[0], second.models[0]
    name = other.name if other.name != model.name else f"{other.name} ({other.precision})"
    if list(ours) != list(others):
        raise VireidError(f"{name}: evaluated in other settings than {model.name}; give one data set")
    differences = {setting: compare(ours[setting].trials, others[setting].trials) for setting in ours}
    return Against(name, differences, comparability([first.results[0], second.results[0]]))


def _evaluate(
    model: Embedder,
    dataset: Dataset,
    settings: tuple[Setting, ...],
    flip: bool,
    methods: tuple[RankingMethod, ...],
    cache: Path | None,
    progress: Progress | None,
) -> Evaluation:
    store = open_pixels(dataset, dataset.test, model, cache, progress)
    flips = (False, True) if flip else (False,)
    embedded = {way: embed_samples(model, store, dataset.test, flip=way, progress=progress) for way in flips}
    rule = model.info.get("checkpoint_rule", "unknown")
    results = [
        score_setting(
            embedded[flipped][kind], setting, method=method, facts=Facts(kind, flipped, rule, bool(model.info))
        )
        for setting, kind, flipped, method in itertools.product(settings, model.kinds, flips, methods)
    ]
    features, facts = embedded[False][model.kinds[0]], Facts(model.kinds[0], False, rule, bool(model.info))
    if len({sample.modality for sample in dataset.test}) > 1:
        results.append(score_setting(features, mixed_setting(dataset), facts=facts))
    plain = {r.setting.name: r for r in reversed(results)}  # the first of each setting
    analyses = {name: analyse(features, plain[name]) for name in sorted(plain)}
    made = record_of(dataset)
    return Evaluation((model,), dataset, store, settings, features, tuple(results), made, analyses)
