"""Parts of the method that the ablation turns off, as overrides of a recipe of the full method."""

from __future__ import annotations

from vireid.reproduce.grid import Grid
from vireid.types import VireidError

NO_DFW = ("model.weakening.after=[]",)
NO_SLN = ("model.branches=1", "loss.overlap.weight=0", "loss.hetero_center.weight=0")
"""One branch, without the two losses on the features of several branches: eq. 5 between them, and eq. 6 on their
concatenation. The paper trains the baseline on L_ReID alone."""
NO_RE = ("data.erase=0",)
BASELINE = (*NO_DFW, *NO_SLN, *NO_RE)


def exchange(grid: Grid) -> tuple[str, ...]:
    """Override that switches channel exchange on, at the recipe's own probability or 0.5."""
    return () if grid.base.data.exchange else ("data.exchange=0.5",)


def require_full_method(grid: Grid) -> None:
    """Raise `VireidError` unless the grid's recipe has DFW, SLN and random erasing, which its variants turn off."""
    recipe = grid.base
    lacking = [
        name
        for name, there in (
            ("DFW (model.weakening.after)", recipe.model.weakening.after),
            ("SLN (model.branches above 1)", recipe.model.branches > 1),
            ("random erasing (data.erase)", recipe.data.erase),
        )
        if not there
    ]
    if lacking:
        raise VireidError(f"recipe {grid.recipe}: has no {lacking[0]} to turn off; give a recipe of the full method")
