"""Fig. 5: the weight lambda of the overlap penalty, on the baseline with SLN, S = 100."""

from __future__ import annotations

from vireid.reproduce.grid import Grid
from vireid.reproduce.sweeps import Sweep, scaling, separation, sweep_item
from vireid.reproduce.variants import NO_DFW, NO_RE

STUDIED = ("0.1", "0.3", "0.5", "0.7", "1")
"""The paper's text gives the range, 0.1 to 1, and names 0.5 and 1."""


def sweep(grid: Grid) -> Sweep:
    """Return the settings, named by lambda."""
    common = (*NO_DFW, *NO_RE)
    what = "weight λ of the overlap penalty (eq. 7), baseline with SLN, S = 100, without DFW and random erasing"
    return Sweep(
        "fig5",
        f"Fig. 5, {what}{scaling(grid)}",
        "λ",
        ("0", (*common, "loss.overlap.weight=0")),
        {w: (*common, f"loss.overlap.weight={w}", separation(grid, 100)) for w in STUDIED},
        "λ = ",
    )


ITEM = sweep_item(sweep)
