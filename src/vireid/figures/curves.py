"""Curves of a run: cumulative matching characteristics, loss parts, learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vireid.figures.style import COLUMN_WIDTH, DASHES, INK, PALETTE, drawing, new_figure, printable
from vireid.types import VireidError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = npt.NDArray[np.float64]

_MOST_POINTS = 600


@dataclass(frozen=True)
class CmcCurve:
    """The cumulative matching characteristic of one setting: ``values[k - 1]`` is rank-k, a fraction in [0, 1]."""

    label: str
    values: Values

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim != 1 or len(values) == 0:
            raise VireidError(f"CMC curve {self.label!r}: expected shape (ranks,), got {values.shape}")
        if not np.all((values >= 0) & (values <= 1)):
            raise VireidError(
                f"CMC curve {self.label!r}: expected fractions between 0 and 1; divide percentages by 100"
            )


@dataclass(frozen=True)
class TrainingLog:
    """The log of a training run: per name, one value for each entry of ``steps``, shape (n,).

    ``losses`` has the loss parts (any unit), ``learning_rate`` the rate of the heads, or is empty.
    """

    steps: Values
    losses: dict[str, Values]
    learning_rate: Values = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        for name, values in self.losses.items():
            if np.shape(values) != np.shape(self.steps):
                raise VireidError(
                    f"training log, {name}: expected {len(self.steps)} values, one per step, got {len(values)}"
                )
        if len(self.learning_rate) not in (0, len(self.steps)):
            raise VireidError(
                f"training log, learning rate: expected no value or one per step ({len(self.steps)}), "
                f"got {len(self.learning_rate)}"
            )


def cmc_figure(curves: Sequence[CmcCurve], chance: CmcCurve | None = None, width: float = COLUMN_WIDTH) -> Figure:
    """Draw rank-k over k, one line per setting, and the score of a random ranking as a dotted line.

    The key gives the rank-1 of each setting. ``width`` is in inches; only ranks that all curves have are drawn.

    Raises:
        VireidError: no curve, more curves than the palette can tell apart, or matplotlib is not installed.
    """
    if not 1 <= len(curves) <= len(PALETTE):
        raise VireidError(f"CMC curves: expected 1 to {len(PALETTE)} settings in one figure, got {len(curves)}")
    last = min(len(curve.values) for curve in curves)
    ranks = np.arange(1, last + 1)
    with drawing():
        figure = new_figure(width, 0.6 * width + 0.15 * (len(curves) + 1))
        axes = figure.add_subplot()
        for curve, colour, dashes in zip(curves, PALETTE, DASHES, strict=False):
            label = _cmc_key(curve)
            axes.plot(ranks, 100 * curve.values[:last], color=colour, linestyle=dashes, label=label)
        if chance is not None:
            few = ranks[: len(chance.values)]
            label = _cmc_key(chance)
            axes.plot(
                few,
                100 * chance.values[: len(few)],
                color=INK,
                alpha=0.55,
                linestyle=":",
                lw=1.2,
                label=label,
            )
        axes.set(xlabel="rank k", ylabel="matched within k (%)", ylim=(0, 101), xlim=(0.5, last + 0.5))
        axes.set_xticks(sorted({1, last} | {k for k in (5, 10, 20, 50) if k < last}))
        axes.grid(axis="y")
        # Below the axes: inside, it would cover the curves of one run or the chance line of another.
        figure.legend(loc="outside lower left", alignment="left", handlelength=2.8)
    return figure


def det_figure(curves: dict[str, tuple[Values, Values]], width: float = COLUMN_WIDTH) -> Figure:
    """Draw detection error trade-offs on logarithmic axes, one line per setting.

    Args:
        curves: false-match and false-non-match rates per setting, (points,) fractions; zeros are omitted.

    Raises:
        VireidError: more settings than the palette can tell apart, or matplotlib is not installed.
    """
    if not 1 <= len(curves) <= len(PALETTE):
        raise VireidError(f"DET curves: expected 1 to {len(PALETTE)} settings in one figure, got {len(curves)}")
    with drawing():
        figure = new_figure(width, 0.6 * width + 0.15 * len(curves))
        axes = figure.add_subplot()
        for (label, (false_match, missed)), colour, dashes in zip(curves.items(), PALETTE, DASHES, strict=False):
            shown = (false_match > 0) & (missed > 0)
            axes.plot(100 * false_match[shown], 100 * missed[shown], color=colour, linestyle=dashes, label=_key(label))
        axes.set(xscale="log", yscale="log", xlabel="false-match rate (%)", ylabel="false-non-match rate (%)")
        for axis in (axes.xaxis, axes.yaxis):  # the default formatter writes TeX, which an SVG's text cannot show
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda value, _: "")
        axes.grid()
        figure.legend(loc="outside lower left", alignment="left", handlelength=2.8)
    return figure


def training_figures(log: TrainingLog, width: float = COLUMN_WIDTH) -> dict[str, Figure]:
    """Draw each loss part over the steps, and the learning rate if logged: one small figure per name.

    The parts have different units and scales, so they do not share an axis. The faint line shows the logged
    values, the strong one their moving average over a fortieth of the run. Steps whose loss is not finite are
    omitted.

    Raises:
        VireidError: matplotlib is not installed.
    """
    figures = {}
    for name, values in log.losses.items():
        figures[name] = _over_steps(log.steps, values, PALETTE[0], width, smooth=True)
    if len(log.learning_rate):
        figures["learning rate"] = _over_steps(log.steps, log.learning_rate, PALETTE[1], width, smooth=False)
    return figures


def moving_average(values: Values, window: int) -> Values:
    """Return the centred mean over ``window`` entries, shape (n,); at the ends, over the entries that exist."""
    ones = np.ones(min(window, len(values)))
    return np.asarray(np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same"))


def _over_steps(steps: Values, values: Values, colour: str, width: float, *, smooth: bool) -> Figure:
    finite = np.isfinite(values)
    steps, values = _thinned(np.asarray(steps)[finite]), _thinned(np.asarray(values)[finite])
    with drawing():
        figure = new_figure(width, 0.5 * width)
        axes = figure.add_subplot()
        axes.plot(steps, values, color=colour, alpha=0.3 if smooth else 1, linewidth=0.8 if smooth else 1.6)
        if smooth and len(values):
            axes.plot(steps, moving_average(values, max(1, len(values) // 40)), color=colour)
        axes.set_xlabel("step")
        axes.set_ylim(bottom=min(0.0, float(values.min(initial=0))))
        axes.grid(axis="y")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return figure


def _thinned(values: Values) -> Values:
    # A screen cannot show more points, and the file stays small.
    if len(values) <= _MOST_POINTS:
        return values
    return np.array([block.mean() for block in np.array_split(values, _MOST_POINTS)])


def _key(label: str) -> str:
    # matplotlib leaves names that begin with an underscore out of the key.
    return " " * label.startswith("_") + printable(label)


def _cmc_key(curve: CmcCurve) -> str:
    return f"{_key(curve.label)}, rank-1 {100 * curve.values[0]:.1f} %"
