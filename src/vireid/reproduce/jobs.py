"""One training run of a grid: a recipe with overrides, a seed and, for RegDB, a trial."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vireid.config import NAMED_LOSSES, Recipe
from vireid.recipes import load_recipe, recipe_fields

SHORT = {
    "model.weakening.after": "dfw",
    "model.weakening.matrix": "matrix",
    "model.weakening.alpha": "alpha",
    "model.weakening.beta": "beta",
    "model.branches": "branches",
    "data.erase": "erase",
    "loss.hetero_center.weight": "hc",
    "loss.overlap.weight": "lambda",
    "loss.overlap.separation": "S",
    "schedule.epochs": "epochs",
}
"""Short names, in the names of runs, for the fields that the paper's tables vary; others keep their own names."""
_LONGEST = 120


@dataclass(frozen=True)
class Job:
    """A run to train: equal settings make equal jobs, whichever table needs them. ``name`` is its folder's name."""

    name: str
    recipe: Recipe
    seed: int
    trial: int | None


def make_job(base: str, overrides: Sequence[str], seed: int, trial: int | None = None) -> Job:
    """Return the run of recipe ``base`` (a shipped name or a YAML path) with ``field=value`` overrides.

    Raises:
        VireidError: an unknown recipe or field.
    """
    recipe = load_recipe(base, (*overrides, f"training.seed={seed}"))
    before, after = (leaves(job_settings(r)) for r in (_base(base), recipe))
    differing = {k: v for k, v in after.items() if v != before.get(k)}
    name = "--".join([Path(base).stem, *sorted(f"{SHORT.get(k, k)}={_shown(v)}" for k, v in differing.items())])
    plain = re.sub(r"[^\w=.,+-]", "_", name)
    options = [v for v in differing.values() if isinstance(v, dict)]  # of which the name shows keys
    if plain != name or options or len(plain) > _LONGEST:
        plain = f"{plain[:_LONGEST]}--{hashlib.sha256(f'{name}{options}'.encode()).hexdigest()[:8]}"
    return Job(f"{plain}-seed{seed}{f'-trial{trial}' if trial else ''}", recipe, seed, trial)


def job_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of a recipe that affect training, without its name and seed."""
    fields = recipe.to_dict()
    del fields["name"], fields["summary"], fields["training"]["seed"]
    return fields


def leaves(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe's fields by dotted name, as `recipe_fields` lists them, and of its other losses."""
    found = {}
    for name, *_ in recipe_fields():
        value: Any = fields
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        found[name] = value
    del found["loss.NAME"]
    return found | {f"loss.{name}": value for name, value in fields["loss"].items() if name not in NAMED_LOSSES}


@lru_cache
def _base(name: str) -> Recipe:
    return load_recipe(name)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value)) or "off"
    if isinstance(value, dict):
        return "+".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
