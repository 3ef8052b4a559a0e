"""Searching a recipe's settings on held-out training identities, with one study that several processes share."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vireid.config import Recipe
from vireid.data.layouts import open_data
from vireid.files import disk_error
from vireid.recipes import load_recipe
from vireid.reproduce.jobs import settings
from vireid.reproduce.tuned import write_results
from vireid.training.split import fingerprint, split_training
from vireid.training.train import train
from vireid.types import Dataset, VireidError

if TYPE_CHECKING:
    import optuna

SHARE = 0.2
"""Of the training identities, held out for the search where the recipe itself holds out none."""
POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 60


@dataclass(frozen=True)
class Search:
    """What all trials have in common: recipe ``name`` with ``overrides`` is ``base``, trained on ``dataset``."""

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
        """Hash that is equal for equal settings and data."""
        parts = [settings(self.base), self.base.training.seed, self.share, fingerprint(self.dataset)]
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

    A trial is pruned after an epoch whose best mAP so far lies below the median of the others. Equal calls, one after
    another or at once, work on one study. Test images are never read: the trials get a data set without them.

    Args:
        storage: the study's file, by default ``out/study.log``, or an SQLAlchemy URL.

    Raises:
        VireidError: optuna or matplotlib is missing, a bad recipe or data set, a study of other settings, no result.
        KeyboardInterrupt: stopped by the user; the same call goes on and repeats the trial.
    """
    try:
        import optuna
    except ImportError:
        raise VireidError(
            "optuna is not installed and tune needs it: install with pip install 'vireid[tune]'"
        ) from None
    if trials < 1:
        raise VireidError(f"trials: expected 1 or more, got {trials}")
    base = load_recipe(recipe, overrides)
    search = Search(recipe, tuple(overrides), base, replace(open_data(base.data, data, 1), test=()), out)
    split_training(search.dataset, base.data.holdout, search.share, base.training.seed)  # too few: before any trial
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # heartbeat, PED-ANOVA
    try:
        (out / "trials").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, out) from None
    place = storage or str(out / "study.log")
    with _lock(out / ".lock"):
        study = _open_study(search, place)
    while _next_trial(search, study, trials, local="://" not in place):
        pass
    with _lock(out / ".lock"):
        return write_results(study, base, recipe, out)


def suggest(trial: optuna.Trial, search: Search) -> list[str]:
    """Return one point of the search space as overrides: fields that the recipe uses and the user has not fixed."""
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


def _next_trial(search: Search, study: optuna.Study, trials: int, local: bool) -> bool:
    """Run one trial, or wait for those of other processes; False when the study has all its trials."""
    lock = _lock(search.out / ".lock")  # until the trial is counted as running and holds its own lock
    held: list[IO[str]] = []  # until optuna has written its end: others take a running trial without a lock for dead
    try:
        _release_dead(search, study, local)
        finished, running = _counts(study)
        if finished >= trials:
            return False
        if finished + running < trials:
            study.optimize(_objective(search, lock.close, held), n_trials=1, catch=(VireidError,))
            return True
    finally:
        for file in (lock, *held):
            file.close()
    time.sleep(POLL_SECONDS)
    return True


def _objective(search: Search, begun: Callable[[], None], held: list[IO[str]]) -> Callable[[optuna.Trial], float]:
    def objective(trial: optuna.Trial) -> float:
        import optuna

        folder = search.out / "trials" / str(trial.number)
        held.append(_lock(folder.with_suffix(".lock")))  # goes with the process, however it ends
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


def _counts(study: optuna.Study) -> tuple[int, int]:
    """Trials that are done, one whose training failed among them, and trials that run."""
    states = [(t.state.name, "error" in t.user_attrs) for t in study.get_trials(deepcopy=False)]
    done = sum(name in ("COMPLETE", "PRUNED") or (name == "FAIL" and failed) for name, failed in states)
    return done, sum(name == "RUNNING" for name, _ in states)


def _release_dead(search: Search, study: optuna.Study, local: bool) -> None:
    """Queue the trials of killed processes again; a file has no heartbeat, so a free lock tells."""
    import optuna

    if not local:
        optuna.storages.fail_stale_trials(study)
        return
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        try:
            _lock(search.out / "trials" / f"{trial.number}.lock", wait=False).close()
        except BlockingIOError:
            continue
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
        shutil.rmtree(search.out / "trials" / str(trial.number), ignore_errors=True)


def _open_study(search: Search, place: str) -> optuna.Study:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    shown = place.rpartition("@")[2]  # without the password of a URL
    try:
        store: Any
        if "://" in place:
            retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
            store = optuna.storages.RDBStorage(
                place, heartbeat_interval=HEARTBEAT_SECONDS, heartbeat_stale_trial_callback=retry
            )
        else:
            store = optuna.storages.JournalStorage(JournalFileBackend(place))
        study = optuna.create_study(
            study_name="vireid",
            storage=store,
            load_if_exists=True,
            direction="maximize",
            sampler=optuna.samplers.TPESampler(constant_liar=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        )
    except Exception as error:  # whatever a driver or a damaged file leads to
        reason = " ".join(str(error).split())[:120].replace(place, shown)
        raise VireidError(f"storage {shown}: cannot be opened as a study ({reason}); give another --storage") from None
    if study.user_attrs.get("key", search.key()) != search.key() or (study.trials and not study.user_attrs):
        raise VireidError(
            f"storage {shown}: holds the study of another recipe or data set; give another --storage or --out"
        )
    study.set_user_attr("key", search.key())
    return study


def _lock(path: Path, wait: bool = True) -> IO[str]:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        raise
    return file
