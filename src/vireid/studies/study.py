"""Storage of a study: opening it from several processes, counting its trials, queueing those of dead processes."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vireid.types import VireidError

if TYPE_CHECKING:
    import optuna

HEARTBEAT_SECONDS = 60


def counts(study: optuna.Study) -> tuple[int, int]:
    """Return the number of finished trials, including those whose training failed, and of running ones."""
    states = [(t.state.name, "error" in t.user_attrs) for t in study.get_trials(deepcopy=False)]
    done = sum(name in ("COMPLETE", "PRUNED") or (name == "FAIL" and failed) for name, failed in states)
    return done, sum(name == "RUNNING" for name, _ in states)


def release_dead(study: optuna.Study, folder: Path, local: bool) -> None:
    """Queue the trials of killed processes again. A study in a file has no heartbeat: a free lock reveals them."""
    import optuna

    if not local:
        optuna.storages.fail_stale_trials(study)
        return
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        try:
            lock(folder / f"{trial.number}.lock", wait=False).close()
        except BlockingIOError:
            continue
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
        shutil.rmtree(folder / str(trial.number), ignore_errors=True)


def open_study(place: str, key: str) -> optuna.Study:
    """Open or create the study at ``place``, a file or an SQLAlchemy URL.

    Args:
        key: hash of settings and data; a study with another key is refused.

    Raises:
        VireidError: it cannot be opened, or has another key.
    """
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
    except Exception as error:  # whatever a driver or a damaged file raises
        reason = " ".join(str(error).split())[:120].replace(place, shown)
        raise VireidError(f"storage {shown}: cannot be opened as a study ({reason}); give another --storage") from None
    if study.user_attrs.get("key", key) != key or (study.trials and not study.user_attrs):
        raise VireidError(
            f"storage {shown}: holds a study of another recipe or data set; give another --storage or --out"
        )
    study.set_user_attr("key", key)
    return study


def lock(path: Path, wait: bool = True) -> IO[str]:
    """Return the open file that holds the lock; without ``wait``, raise `BlockingIOError` if another process has it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        raise
    return file
