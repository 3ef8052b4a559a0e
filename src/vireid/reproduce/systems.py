"""The compared systems: the shipped recipes that are neither our method nor smaller versions of it."""

from __future__ import annotations

import json
from typing import Any

from vireid.layouts import BUILTIN, find_layout
from vireid.recipes import load_recipe, shipped_recipes
from vireid.reproduce.grid import Grid
from vireid.reproduce.jobs import Job, leaves, settings
from vireid.reproduce.variants import BASELINE

OWN = {*(find_layout(name).recipe for name in BUILTIN), "baseline", "demo", "vit-dfw"}
VARIANTS = ("-shared", "-regdb", "-llcm")
"""Ends of the names of recipes that are variants of another: its method in the baseline's design, or what its authors'
code does on another data set."""
_BUDGET = (
    *("data.kind", "data.synthetic.", "data.height", "data.width", "data.identities", "data.images", "data.pad"),
    *("model.backbone", "model.options", "model.base_width", "model.weights"),
    *("loss.overlap.separation", "schedule.", "training."),
)
"""Fields in which a grid's recipe is smaller than the paper's; a system takes them from the grid's recipe."""


def systems() -> list[str]:
    """Return the names of the compared systems' recipes, without their variants."""
    names = (name for name in shipped_recipes() if name not in OWN and not name.startswith("small"))
    return [name for name in names if not name.endswith(VARIANTS)]


def system_jobs(grid: Grid, name: str) -> tuple[Job, ...]:
    """Return the runs of a system: its own recipe where the grid's has the paper's network and input (that of the data
    set's layout where it has one), else what its shared variant changes in the baseline (or, where it is built on the
    full method, in that), put on the grid's recipe.
    """
    shipped = shipped_recipes()
    if _at_full_size(grid):
        own = f"{name}-{grid.dataset.layout}"
        return grid.jobs(recipe=own if own in shipped else name)
    recipe = load_recipe(f"{name}-shared" if f"{name}-shared" in shipped else name)
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
