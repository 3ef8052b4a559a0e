"""The verb that searches settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vireid.cli.options import OwnData, Recipe


def tune(
    recipe: Recipe,
    *overrides: Annotated[str, Parameter(help="FIELD=VALUE pairs for every trial; these fields are not searched.")],
    data: OwnData = None,
    trials: Annotated[int, Parameter(help="Trials the study is to have, whichever process ran them.")],
    storage: Annotated[
        str | None, Parameter(help="The study's file, by default OUT/study.log, or a database's SQLAlchemy URL.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder of the study and its results; tune/RECIPE by default.")] = None,
) -> None:
    """Search a recipe's settings on held-out training identities; test images are never read.

    The same command goes on with an interrupted study; in a second terminal it shares the work.

    Example: `vireid tune small --data synvi-1 --trials 30`
    """
    from vireid.studies.tuning import tune as run

    best = run(recipe, data, out or Path("tune") / Path(recipe).stem, trials, storage, overrides)
    print(f"The best recipe is {best}\n\nNext: vireid train --recipe {best}{f' --data {data}' if data else ''}")
