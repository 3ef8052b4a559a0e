"""`vireid tune`: searching a recipe's settings on held-out training identities, with several processes on one study."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml

from vireid.config import Recipe
from vireid.data.layouts import open_data
from vireid.figures.study import history_figure, importance_figure, slices_figure
from vireid.figures.style import write_figure
from vireid.files import atomic_path, disk_error
from vireid.recipes import field_parts, load_recipe, shipped_recipes
from vireid.reproduce.jobs import job_settings, leaves
from vireid.studies.study import counts, lock, open_study, release_dead
from vireid.training.run import train
from vireid.training.split import fingerprint, split_training
from vireid.types import Dataset, VireidError

if TYPE_CHECKING:
    import optuna

SHARE = 0.2
"""Share of the training identities held out for the search if the recipe itself holds out none."""
POLL_SECONDS = 1.0
ENOUGH = 4
"""Finished trials below which importances are not estimated."""


@dataclass(frozen=True)
class TrialSetup:
    """Settings that all trials share: recipe ``name`` with ``overrides`` is ``base``, trained on ``dataset``."""

    name: str
    overrides: tuple[str, ...]
    base: Recipe
    dataset: Dataset
    out: Path

    @property
    def share(self) -> float:
        """Share of the training identities held out in every trial."""
        return self.base.training.validation or SHARE

    def key(self) -> str:
        """Hash of settings and data."""
        parts = [job_settings(self.base), self.base.training.seed, self.share, fingerprint(self.dataset)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def tune(
    recipe: str,
    data: Path | None,
    out: Path,
    trials: int,
    storage: str | None = None,
    overrides: Sequence[str] = (),
) -> Path:
    """Search until the study has ``trials`` trials and return the best recipe, ``out/best.yaml``.

    A trial is pruned after an epoch at which its best mAP so far is below the median of the others. Equal calls, in
    sequence or at the same time, work on one study. Test images are never read: the trials get a data set without them.

    Args:
        storage: the file of the study, by default ``out/study.log``, or an SQLAlchemy URL.

    Raises:
        VireidError: optuna or matplotlib is missing, a bad recipe or data set, a study of other settings, no result.
        KeyboardInterrupt: stopped by the user; the same call resumes and repeats the trial.
    """
    try:
        import optuna
    except ImportError:
        raise VireidError(
            "tune needs optuna, which is not installed: install with pip install 'vireid[tune]'"
        ) from None
    if trials < 1:
        raise VireidError(f"trials: expected 1 or more, got {trials}")
    base = load_recipe(recipe, overrides)
    search = TrialSetup(recipe, tuple(overrides), base, replace(open_data(base.data, data, 1), test=()), out)
    split_training(
        search.dataset, base.data.holdout, search.share, base.training.seed
    )  # fails before any trial if there are too few
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # heartbeat, PED-ANOVA
    try:
        (out / "trials").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, out) from None
    place = storage or str(out / "study.log")
    with lock(out / ".lock"):
        study = open_study(place, search.key())
    while _next_trial(search, study, trials, local="://" not in place):
        pass
    with lock(out / ".lock"):
        return _write_results(study, base, recipe, out)


def suggest(trial: optuna.Trial, search: TrialSetup) -> list[str]:
    """Return one point of the search space as overrides of the fields that the recipe uses and the user has not set."""
    base = search.base
    fixed = {o.partition("=")[0].strip() for o in search.overrides}
    chosen: dict[str, Any] = {}

    def number(name: str, low: float, high: float, log: bool = False) -> None:
        if name not in fixed:
            chosen[name] = trial.suggest_float(name, low, high, log=log)

    schedule, weakening = base.schedule, base.model.weakening
    number("schedule.lr", schedule.lr / 5, schedule.lr * 5, log=True)
    if schedule.backbone_factor > 0:
        number("schedule.backbone_factor", schedule.backbone_factor / 5, schedule.backbone_factor * 5, log=True)
    if weakening.after:
        matrix: str = weakening.matrix
        if "model.weakening.matrix" not in fixed:
            matrix = trial.suggest_categorical("model.weakening.matrix", ["D1", "D2", "D3"])
            chosen["model.weakening.matrix"] = matrix
        if matrix == "D1":
            number("model.weakening.alpha", 0, 1)
        if matrix == "D2":
            number("model.weakening.beta", 0, 1)
    if base.model.branches > 1:
        number("loss.overlap.weight", 0, 2)
        number("loss.overlap.separation", 0, 0.7 * base.data.height)
        if base.loss.overlap.centre == "soft":
            number("loss.overlap.temperature", 0.01, 1, log=True)
    return [f"{name}={value!r}" if isinstance(value, float) else f"{name}={value}" for name, value in chosen.items()]


def _next_trial(search: TrialSetup, study: optuna.Study, trials: int, local: bool) -> bool:
    """Run one trial, or wait for those of other processes; return False once the study has all its trials."""
    outer = lock(search.out / ".lock")  # until the trial is counted as running and holds its own lock
    held: list[IO[str]] = []  # until optuna records the end: a running trial without a lock counts as dead
    try:
        release_dead(study, search.out / "trials", local)
        finished, running = counts(study)
        if finished >= trials:
            return False
        if finished + running < trials:
            study.optimize(_objective(search, outer.close, held), n_trials=1, catch=(VireidError,))
            return True
    finally:
        for file in (outer, *held):
            file.close()
    time.sleep(POLL_SECONDS)
    return True


def _objective(search: TrialSetup, begun: Callable[[], None], held: list[IO[str]]) -> Callable[[optuna.Trial], float]:
    def objective(trial: optuna.Trial) -> float:
        import optuna

        folder = search.out / "trials" / str(trial.number)
        held.append(lock(folder.with_suffix(".lock")))  # released when the process ends, however it ends
        begun()
        best: list[float] = []

        def validated(step: int, score: float) -> None:
            best.append(max([score, *best]))
            trial.report(best[-1], len(best))
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            point = suggest(trial, search)
            print(f"trial {trial.number}: {' '.join(point)}", file=sys.stderr)
            recipe = load_recipe(search.name, (*search.overrides, *point, f"training.validation={search.share}"))
            train(recipe, search.dataset, folder, validated=validated)
            return best[-1]
        except VireidError as error:
            trial.set_user_attr("error", str(error))
            print(f"trial {trial.number} failed: {error}", file=sys.stderr)
            raise
        except KeyboardInterrupt:
            trial.study.enqueue_trial(trial.params)
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return objective


def _write_results(study: optuna.Study, base: Recipe, name: str, out: Path) -> Path:
    """Write ``best.yaml``, ``trials.csv`` and the figures (PDF and PNG) to ``out``; return the path of the recipe.

    Args:
        base: recipe ``name`` with the overrides of the search.

    Raises:
        VireidError: no trial was trained to its end.
    """
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    finished = [t for t in trials if t.state == TrialState.COMPLETE]
    if not finished:
        failed = next((t.user_attrs["error"] for t in trials if "error" in t.user_attrs), "all were pruned")
        raise VireidError(f"{out}: no trial was trained to its end ({failed}); fix that, or give more --trials")
    _write_csv(out / "trials.csv", trials)
    _write_figures(study, finished, out)
    return _write_best(study.best_trial, base, name, out / "best.yaml")


def _write_figures(study: optuna.Study, finished: list[optuna.trial.FrozenTrial], out: Path) -> None:
    names = sorted({n for t in finished for n in t.params})
    points = {n: [(t.params[n], float(t.value or 0)) for t in finished if n in t.params] for n in names}
    figures = {"history": history_figure([float(t.value or 0) for t in finished]), "slices": slices_figure(points)}
    if len(finished) >= ENOUGH:
        figures["importance"] = importance_figure(_importances(study))
    for title, figure in figures.items():
        for suffix in (".pdf", ".png"):
            write_figure(out / f"{title}{suffix}", figure)


def _write_best(best: optuna.trial.FrozenTrial, base: Recipe, name: str, path: Path) -> Path:
    before = leaves(load_recipe(name).to_dict())
    changed = {k: v for k, v in leaves(base.to_dict()).items() if v != before.get(k)} | best.params
    fields: dict[str, Any] = {
        "base": name if name in shipped_recipes() else os.path.relpath(name, path.parent),
        "name": f"{base.name}-tuned",
        "summary": f"{base.name} after a search; trial {best.number} reached "
        f"{100 * float(best.value or 0):.1f} % mAP on held-out training identities.",
    }
    for field, value in changed.items():
        *parents, leaf = field_parts(field)
        inner = fields
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[leaf] = value
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    load_recipe(str(path))
    return path


def _write_csv(path: Path, trials: list[optuna.trial.FrozenTrial]) -> None:
    names = sorted({name for t in trials for name in t.params})
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", "map", "epochs", *names, "error"])
        for t in trials:
            row = [t.number, t.state.name.lower(), t.value, len(t.intermediate_values), *map(t.params.get, names)]
            writer.writerow([*row, t.user_attrs.get("error", "")])


def _importances(study: optuna.Study) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
