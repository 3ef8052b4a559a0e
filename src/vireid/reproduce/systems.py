"""The compared systems: the shipped recipes that are neither ours nor sizes of ours."""

from __future__ import annotations

import json
from typing import Any

from vireid.layouts import BUILTIN, find_layout
from vireid.recipes import load_recipe, shipped_recipes
from vireid.reproduce.grid import Grid
from vireid.reproduce.jobs import Job, leaves, settings
from vireid.reproduce.variants import BASELINE

OWN = {*(find_layout(name).recipe for name in BUILTIN), "baseline", "demo", "vit-dfw"}
_BUDGET = (
    *("data.kind", "data.synthetic.", "data.height", "data.width", "data.identities", "data.images", "data.pad"),
    *("model.backbone", "model.options", "model.base_width", "model.weights"),
    *("loss.overlap.separation", "schedule.", "training."),
)
"""Fields in which a grid's recipe is smaller than the paper's, and which a system takes from it."""


def systems() -> list[str]:
    """Return the names of the compared systems' recipes."""
    return [name for name in shipped_recipes() if name not in OWN and not name.startswith("small")]


def system_jobs(grid: Grid, name: str) -> tuple[Job, ...]:
    """Return the runs of a system: its own recipe where the grid's has the paper's network and input, else what the
    system changes in the baseline (or, where it is built on the full method, in that), put on the grid's recipe.
    """
    if _at_full_size(grid):
        return grid.jobs(recipe=name)
    recipe = load_recipe(name)
    ours = bool(recipe.model.weakening.after)
    theirs, plain = (leaves(settings(r)) for r in (recipe, load_recipe("sysu-dfw" if ours else "baseline")))
    changed = [
        f"{field}={json.dumps(value)}"
        for field, value in theirs.items()
        if value != plain.get(field) and not field.startswith(_BUDGET)
    ]
    return grid.jobs(*(() if ours else BASELINE), *changed)


def _at_full_size(grid: Grid) -> bool:
    def size(recipe: Any) -> tuple[Any, ...]:
        return recipe.model.backbone, recipe.model.base_width, recipe.data.height, recipe.data.width

    return size(grid.base) == size(load_recipe("sysu-dfw"))
