"""Searching the settings that the paper leaves open, on held-out training identities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vireid.config import Recipe
from vireid.data.layouts import open_dataset
from vireid.figures.style import write_figure
from vireid.figures.tuning import tuning_figure
from vireid.files import atomic_path, read_json
from vireid.recipes import load_recipe
from vireid.training.train import train
from vireid.training.validation import HISTORY
from vireid.types import VireidError

if TYPE_CHECKING:
    import optuna

SHARE = 0.2
"""Of the training identities, held out where the recipe itself holds out none."""


def tune(
    recipe: str, data: Path, out: Path, trials: int, storage: str | None = None, overrides: Sequence[str] = ()
) -> Path:
    """Search alpha, beta, matrix, S, lambda, temperature and learning rate; return the YAML file of the best recipe.

    Trials are trained into ``out/trials`` and pruned after an epoch whose best mAP lies below the others' median.
    The study goes on until it has ``trials`` finished ones, whichever worker made them: the same call again resumes it,
    and in a second process helps. Test identities are not even opened: the trials get a data set without them.

    Args:
        storage: file of the study, by default ``out/study.log``, or the URL of a database server.

    Raises:
        VireidError: optuna is not installed, a bad recipe or data set, or no trial that finished.
    """
    try:
        import optuna
    except ImportError:
        raise VireidError("optuna is not installed and tune needs it: pip install 'vireid[tune]'") from None
    if trials < 1:
        raise VireidError(f"trials: expected 1 or more, got {trials}")
    base = load_recipe(recipe, overrides)
    share = base.training.validation or SHARE
    dataset = replace(open_dataset(data), test=())
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=f"{base.name} on {data.resolve().name}",
        storage=_storage(storage or str(out / "study.log")),
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0),
    )

    def objective(trial: optuna.Trial) -> float:
        chosen = load_recipe(recipe, (*overrides, *suggest(trial, base), f"training.validation={share}"))
        folder = out / "trials" / f"trial-{trial.number}"
        epochs: list[float] = []

        def validated(step: int, score: float) -> None:
            epochs.append(score)
            trial.report(max(epochs), len(epochs))
            if trial.should_prune():
                raise optuna.TrialPruned

        train(chosen, dataset, folder, validated=validated)
        return float(max(e["map"] for e in read_json(folder / HISTORY, "validation results")["map"]))

    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    left = trials - len(study.get_trials(states=done))
    if left > 0:
        limit = optuna.study.MaxTrialsCallback(trials, states=done)
        study.optimize(objective, n_trials=left, callbacks=[limit], catch=(VireidError,))
    return _write(study, base, (recipe, overrides), out)


def suggest(trial: optuna.Trial, base: Recipe) -> list[str]:
    """Return one point of the search space as overrides; only parts that the recipe has are varied."""
    found: dict[str, Any] = {"schedule.lr": trial.suggest_float("schedule.lr", 0.01, 0.3, log=True)}
    if base.model.weakening.after:
        matrix = found["model.weakening.matrix"] = trial.suggest_categorical("matrix", ["D1", "D2", "D3"])
        if matrix == "D1":
            found["model.weakening.alpha"] = trial.suggest_float("alpha", 0, 1)
        if matrix == "D2":
            found["model.weakening.beta"] = trial.suggest_float("beta", 0, 1)
    if base.model.branches > 1:
        found["loss.overlap.weight"] = trial.suggest_float("lambda", 0, 2)
        found["loss.overlap.separation"] = trial.suggest_float("S", 0, 0.7 * base.data.height)
        found["loss.overlap.temperature"] = trial.suggest_float("temperature", 0.01, 1, log=True)
    trial.set_user_attr("overrides", [f"{name}={value}" for name, value in found.items()])
    return [f"{name}={value}" for name, value in found.items()]


def _storage(place: str) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" in place:
        return place
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(place))


def _write(study: optuna.Study, base: Recipe, source: tuple[str, Sequence[str]], out: Path) -> Path:
    import optuna

    finished = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if not finished:
        raise VireidError(f"{out}: no trial finished; see the messages above, or give more --trials")
    best = load_recipe(source[0], (*source[1], *study.best_trial.user_attrs["overrides"]))
    fields = best.to_dict() | {
        "name": f"{base.name}-tuned",
        "summary": f"{base.name}, best of {len(study.trials)} trials on held-out training identities "
        f"(mAP {100 * study.best_value:.1f} %).",
    }
    path = out / "best.yaml"
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    with atomic_path(out / "trials.json") as temporary:
        lines = [{"number": t.number, "state": t.state.name, "map": t.value, **t.params} for t in study.trials]
        temporary.write_text(json.dumps(lines, indent=1) + "\n")
    shown = {name: [(float(t.params[name]), t.value or 0.0) for t in finished if isinstance(t.params.get(name), float)]
             for name in dict.fromkeys(n for t in finished for n in t.params)}  # fmt: skip
    figure = tuning_figure([t.value or 0.0 for t in finished], {name: p for name, p in shown.items() if p})
    for suffix in (".pdf", ".png"):
        write_figure(out / f"tuning{suffix}", figure)
    return path
