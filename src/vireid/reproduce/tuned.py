"""What a search leaves: the best recipe, a table of the trials and figures."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vireid.config import Recipe
from vireid.figures.study import history_figure, importance_figure, slices_figure
from vireid.figures.style import write_figure
from vireid.files import atomic_path
from vireid.recipes import load_recipe, shipped_recipes
from vireid.reproduce.jobs import leaves
from vireid.types import VireidError

if TYPE_CHECKING:
    import optuna

ENOUGH = 4
"""Finished trials below which importances are not estimated."""


def write_results(study: optuna.Study, base: Recipe, name: str, out: Path) -> Path:
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
        raise VireidError(f"{out}: no trial was trained to its end ({failed}); mend that, or give more --trials")
    _write_csv(out / "trials.csv", trials)
    names = sorted({n for t in finished for n in t.params})
    points = {n: [(t.params[n], float(t.value or 0)) for t in finished if n in t.params] for n in names}
    figures = {"history": history_figure([float(t.value or 0) for t in finished]), "slices": slices_figure(points)}
    if len(finished) >= ENOUGH:
        figures["importance"] = importance_figure(_importances(study))
    for title, figure in figures.items():
        for suffix in (".pdf", ".png"):
            write_figure(out / f"{title}{suffix}", figure)
    return _write_best(study.best_trial, base, name, out / "best.yaml")


def _write_best(best: optuna.trial.FrozenTrial, base: Recipe, name: str, path: Path) -> Path:
    before = leaves(load_recipe(name).to_dict())
    changed = {k: v for k, v in leaves(base.to_dict()).items() if v != before[k]} | best.params
    fields: dict[str, Any] = {
        "base": name if name in shipped_recipes() else os.path.relpath(name, path.parent),
        "name": f"{base.name}-tuned",
        "summary": f"{base.name} after a search; trial {best.number} reached "
        f"{100 * float(best.value or 0):.1f} % mAP on held-out training identities.",
    }
    for field, value in changed.items():
        *parents, leaf = field.split(".")
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
