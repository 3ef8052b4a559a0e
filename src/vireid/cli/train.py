"""The verb `train`; its help lists every field of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vireid.cli.options import Flag, Overrides, OwnData, Recipe, bars
from vireid.recipes import load_recipe, packages_to_trust, recipe_fields, shipped_recipes


def fields_table() -> str:
    """Return all recipe fields as a markdown table, and the names of the shipped recipes."""
    rows = [f"| `{name}` | `{default}` | {text} |" for name, _, default, text in recipe_fields()]
    recipes = f"**Shipped recipes**: {', '.join(shipped_recipes())}."
    return "\n".join([recipes, "", "**Recipe fields**", "", "| field | default | meaning |", "|---|---|---|", *rows])


def train(
    *overrides: Overrides,
    recipe: Recipe,
    data: OwnData = None,
    out: Annotated[Path | None, Parameter(help="Run folder; `runs/RECIPE[-trialN]` by default.")] = None,
    trial: Annotated[int, Parameter(help="RegDB split, 1 to 10.")] = 1,
    resume: Annotated[bool, Flag, Parameter(help="Continuation of the run in the folder, bit for bit.")] = False,
) -> None:
    """Train a recipe on a data set's training identities.

    Example: `vireid train --recipe regdb-dfw --data ~/data/RegDB --trial 2 loss.overlap.weight=0.5`
    """
    from vireid.data.layouts import open_data
    from vireid.training import train as run_training
    from vireid.training.monitor import trained

    settings = load_recipe(recipe, overrides)
    dataset = open_data(settings.data, data, trial)
    suffix = f"-trial{dataset.trial}" if dataset.trial else ""
    folder = out or Path("runs") / f"{settings.name}{suffix}"
    with bars() as bar:
        run_training(settings, dataset, folder, resume=resume, progress=bar("images decoded"))
    print(f"{trained(folder)}\nThe run is {folder}\n")
    packages = ",".join(packages_to_trust(settings))
    program = f"VIREID_TRUST={packages} vireid" if packages else "vireid"
    print(f"Next: {program} evaluate {folder}{f' --data {data}' if data else ''}")
