"""Fig. 4: the separation S of the overlap penalty, on the baseline with SLN, lambda = 1."""

from __future__ import annotations

from vireid.reproduce.grid import Grid
from vireid.reproduce.sweeps import Sweep, scaling, separation, sweep_item
from vireid.reproduce.variants import NO_DFW, NO_RE

STUDIED = (20, 50, 100, 150, 200)
"""In pixels of the paper's input. Its text names only 100; no two cells of the maps are 300 pixels apart."""


def sweep(grid: Grid) -> Sweep:
    """Return the settings, named by S at the paper's input size."""
    common = (*NO_DFW, *NO_RE)
    what = "separation S of the overlap penalty (eq. 5), baseline with SLN, λ = 1, without DFW and random erasing"
    return Sweep(
        "fig4",
        f"Fig. 4, {what}{scaling(grid)}",
        "S (pixels of an input 288 high)",
        ("no penalty", (*common, "loss.overlap.weight=0")),
        {f"{s}": (*common, "loss.overlap.weight=1", separation(grid, s)) for s in STUDIED},
        "S = ",
    )


ITEM = sweep_item(sweep)
