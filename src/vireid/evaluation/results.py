"""What a run reports: numbers per trial with mean and deviation, and every fact needed to compare them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vireid.evaluation.metrics import NUMBERS, Metrics, QueryScores, chance, cmc, score_queries, summarise
from vireid.evaluation.protocols import Setting
from vireid.evaluation.ranked import Method, rank_trial
from vireid.evaluation.records import ResultRecord
from vireid.evaluation.uncertainty import intervals
from vireid.retrieval.ranking import CosineRanking
from vireid.retrieval.reranking import KReciprocalRanking
from vireid.types import FeatureKind, Features, VireidError

CURVE_RANKS = 50
UNKNOWN_TRAINING = "training identities are unknown: make sure that none of them is in the test set"


@dataclass(frozen=True)
class Facts:
    """How the features were made; every result states it.

    ``feature``: which feature of the network. ``flip_averaging``: mean of the features of an image and its
    mirror image. ``checkpoint_rule``: the rule that chose the checkpoint. ``known_training``: whether it is known on
    whom the model was trained.
    """

    feature: FeatureKind = FeatureKind.AFTER_BNNECK
    flip_averaging: bool = False
    checkpoint_rule: str = "last epoch"
    known_training: bool = True


@dataclass(frozen=True)
class Result:
    """One line of a results table, with the scores of every query behind it.

    ``method``: how it was ranked, ``cosine`` being the plain way. Per trial: ``trials`` the scores of the
    queries, ``gallery_images`` and ``gallery_identities`` the size of the gallery.

    Examples:
        >>> import torch, vireid
        >>> people, cameras = torch.tensor([7, 8, 9]), torch.ones(3, dtype=torch.int64)
        >>> day = vireid.Features(torch.eye(3), people, cameras, modalities=torch.zeros_like(people))
        >>> result = vireid.score(day, day)
        >>> result.mean["map"], result.per_trial[0].valid_queries
        (1.0, 3)
    """

    setting: Setting
    facts: Facts
    method: str
    trials: tuple[QueryScores, ...]
    gallery_images: tuple[int, ...]
    gallery_identities: tuple[int, ...]

    @property
    def direction(self) -> str:
        """Modality of the queries, then of the gallery."""
        return self.setting.direction

    @property
    def search(self) -> str:
        """Search mode of the setting."""
        return self.setting.search

    @property
    def feature(self) -> FeatureKind:
        """Which feature of the model."""
        return self.facts.feature

    @property
    def flip_averaging(self) -> bool:
        """Whether an image's mirror image took part."""
        return self.facts.flip_averaging

    @property
    def per_trial(self) -> tuple[Metrics, ...]:
        """The metrics of each trial."""
        return tuple(summarise(scores) for scores in self.trials)

    @property
    def mean(self) -> dict[str, float]:
        """Mean over the trials of rank1, rank5, rank10, rank20, map and minp."""
        return {name: statistics.fmean(getattr(m, name) for m in self.per_trial) for name in NUMBERS}

    @property
    def std(self) -> dict[str, float]:
        """Standard deviation over the trials (population form, as the field prints it; 0 for one trial)."""
        return {name: statistics.pstdev(getattr(m, name) for m in self.per_trial) for name in NUMBERS}

    @property
    def chance(self) -> dict[str, float]:
        """Expected rank1 and map of a random order, mean over the trials; see `metrics.chance`."""
        rank1, mean_ap = zip(*(chance(scores) for scores in self.trials), strict=True)
        return {"rank1": statistics.fmean(rank1), "map": statistics.fmean(mean_ap)}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % bootstrap intervals over identities of rank1 ... minp; see `uncertainty.intervals`."""
        return intervals(self.trials)

    @property
    def worst_quantiles(self) -> dict[str, float]:
        """Median, 90 % and 100 % quantile of the rank of a valid query's worst match, over all trials."""
        worst = torch.cat([scores.worst_rank[scores.valid] for scores in self.trials]).double()
        return {name: float(worst.quantile(q)) for name, q in (("median", 0.5), ("90 %", 0.9), ("all", 1.0))}

    @property
    def curve(self) -> Tensor:
        """(ranks,) float64, mean CMC over the trials, to rank 50 or the size of the smallest gallery."""
        ranks = min(CURVE_RANKS, *self.gallery_images)
        return torch.stack([cmc(scores, ranks).cpu() for scores in self.trials]).mean(dim=0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before comparing these numbers with others."""
        return tuple(_warnings(self))

    def record(self) -> ResultRecord:
        """Return what is written of the result: everything but the scores behind it."""
        setting = self.setting
        return ResultRecord(
            name=setting.name,
            protocol=setting.protocol,
            search=setting.search,
            direction=setting.direction,
            gallery_rule=setting.gallery_rule,
            shots=setting.shots,
            trials=len(self.trials),
            official=setting.official,
            identity_cmc=setting.rule.identity_cmc,
            method=self.method,
            rerank=self.method == KReciprocalRanking.method,
            feature=self.feature,
            flip_averaging=self.flip_averaging,
            checkpoint_rule=self.facts.checkpoint_rule,
            queries=len(self.trials[0]),
            gallery_images=self.gallery_images,
            gallery_identities=self.gallery_identities,
            valid_queries=tuple(m.valid_queries for m in self.per_trial),
            mean=self.mean,
            std=self.std,
            intervals=self.intervals,
            worst_quantiles=self.worst_quantiles,
            per_trial=self.per_trial,
            chance=self.chance,
            cmc=tuple(self.curve.tolist()),
            warnings=self.warnings,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types; fractions in [0, 1]."""
        return self.record().to_dict()


def score_setting(
    features: Features,
    setting: Setting,
    *,
    method: Method = "cosine",
    facts: Facts | None = None,
) -> Result:
    """Score the features of a data set's test part in one setting.

    Args:
        features: row by row those of ``dataset.test``, the data set the setting was made from.
        setting: from `settings_for`.
        method: how the galleries are ranked; all but ``cosine`` are meant to stand beside the plain result,
            never instead of it.
        facts: how the features were made, copied into the result.

    Raises:
        VireidError: features that have no cosine, features of another data set, an unknown method, no query with a
            true match.
    """
    trials, gallery, identities = [], [], []
    for trial in setting.trials:
        ranking, query_labels, gallery_labels = rank_trial(features, trial, method)
        trials.append(score_queries(ranking, query_labels, gallery_labels, setting.rule))
        gallery.append(len(gallery_labels))
        identities.append(len(torch.unique(gallery_labels.identities)))
    return Result(setting, facts or Facts(), ranking.method, tuple(trials), tuple(gallery), tuple(identities))


def pool(results: Sequence[Result]) -> Result:
    """Return one result over the trials of several.

    For RegDB, where every trial is a split with a model of its own.

    Raises:
        VireidError: the results are not of the same setting, method and kind of feature.
    """
    kinds = {(result.setting.name, result.method, result.facts) for result in results}
    if len(kinds) != 1:
        raise VireidError(f"pool: expected results of one setting and method, got {len(kinds)} kinds; pool each alone")
    first = results[0]
    trials = tuple(scores for result in results for scores in result.trials)
    images = tuple(size for result in results for size in result.gallery_images)
    identities = tuple(size for result in results for size in result.gallery_identities)
    return Result(first.setting, first.facts, first.method, trials, images, identities)


def comparability(results: Sequence[Result]) -> tuple[str, ...]:
    """Return a warning for every way in which the results must not stand in one table column."""
    found = []
    rules = sorted({r.setting.gallery_rule for r in results if r.setting.shots is not None})
    if len(rules) > 1:
        found.append(f"gallery rules {' and '.join(rules)} are mixed: their numbers differ for the same model")
    for name, values in (
        (" and ".join(sorted({r.method for r in results})), {r.method for r in results}),
        ("flip-averaged and plain", {r.facts.flip_averaging for r in results}),
        ("before- and after-BNNeck", {r.facts.feature is FeatureKind.BEFORE_BNNECK for r in results}),
        ("differently chosen checkpoints'", {r.facts.checkpoint_rule for r in results}),
    ):
        if len(values) > 1:
            found.append(f"{name} results are mixed: compare like with like")
    return tuple(found)


def _warnings(result: Result) -> list[str]:
    setting, found = result.setting, []
    if len(result.trials) < setting.published:
        found.append(
            f"{len(result.trials)} of the protocol's {setting.published} trials: published numbers are means over all"
        )
    if not setting.official:
        found.append("not part of a published protocol: compare only with numbers made by the same rules")
    if not result.facts.known_training:
        found.append(UNKNOWN_TRAINING)
    if result.facts.flip_averaging:
        found.append("flip averaging is on: most published numbers are without it")
    if result.method != CosineRanking.method:
        found.append(f"{result.method} is on: compare only with numbers that state it, never with plain ones")
    dropped = sum(m.dropped_queries for m in result.per_trial)
    if dropped:
        total = sum(len(scores) for scores in result.trials)
        found.append(f"{dropped} of {total} queries have no true match in their gallery and do not count")
    return found + short_gallery(min(result.gallery_identities if setting.rule.identity_cmc else result.gallery_images))


def short_gallery(ranked: int) -> list[str]:
    """Return a warning where the CMC of ``ranked`` images or identities ends before the last reported rank."""
    if ranked > 20:
        return []
    return [f"the gallery ranks {ranked} entries: rank-{ranked} and beyond are 1 whatever the model"]
