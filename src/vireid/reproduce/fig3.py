"""Fig. 3: the seven thresholds and factors of the weakening matrix, on the baseline with DFW."""

from __future__ import annotations

from vireid.reproduce.grid import Grid
from vireid.reproduce.sweeps import Sweep, sweep_item
from vireid.reproduce.variants import BASELINE, NO_RE, NO_SLN

STUDIED = ("0.2", "0.5", "0.8")


def sweep(grid: Grid) -> Sweep:
    """Return the settings as threshold / factor in the paper's terms: m the mean, e the share of strong positions."""
    common = (*NO_SLN, *NO_RE)
    matrix = "model.weakening.matrix"
    settings: dict[str, tuple[str, ...]] = {}
    settings |= {f"m / {a}": (*common, f"{matrix}=D1", f"model.weakening.alpha={a}") for a in STUDIED}
    settings |= {f"{b} / e": (*common, f"{matrix}=D2", f"model.weakening.beta={b}") for b in STUDIED}
    settings["m / e"] = (*common, f"{matrix}=D3")
    what = "threshold / factor of the weakening matrix (eq. 2), baseline with DFW, without SLN and random erasing"
    return Sweep("fig3", f"Fig. 3, {what}", "threshold / factor", ("no DFW", BASELINE), settings)


ITEM = sweep_item(sweep)
