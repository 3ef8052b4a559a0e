"""Figures of numbers for several settings: printed ones as open marks, measured ones filled, with error bars."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from vireid.figures.style import INK, PAGE_WIDTH, PALETTE, drawing, new_figure, printable
from vireid.types import VireidError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = ("s", "D", "^", "v", "P", "X")


class Number(Protocol):
    """A mean and, for several runs, its standard deviation."""

    @property
    def mean(self) -> float: ...
    @property
    def std(self) -> float | None: ...


@dataclass(frozen=True)
class Series:
    """One value per tick, (n,) percent, NaN if missing; ``spread`` (n,) standard deviations, 0 for none."""

    label: str
    means: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    measured: bool

    @staticmethod
    def of(label: str, numbers: Sequence[Number | None], measured: bool) -> Series:
        """Build a series from table cells."""
        means = np.array([np.nan if n is None else n.mean for n in numbers])
        spread = np.array([0.0 if n is None or n.std is None else n.std for n in numbers])
        return Series(label, means, spread, measured)


def points_figure(panels: Mapping[str, Sequence[Series]], ticks: Sequence[str], xlabel: str) -> Figure:
    """Draw one column per number, with the settings along the axis: printed numbers above as open marks, measured ones
    below, joined by a line, with error bars of one standard deviation. The two have separate axes, because they mostly
    come from different data.

    The figure is a page wide.

    Raises:
        VireidError: no panel, a series whose length differs from ``ticks``, or matplotlib is not installed.
    """
    every = [one for group in panels.values() for one in group]
    if not panels or any(len(one.means) != len(ticks) for one in every):
        raise VireidError(f"points figure: expected panels of series with {len(ticks)} values, one per tick")
    kinds = sorted({one.measured for one in every})  # printed above measured
    lines = sum(_label(s).count("\n") + 1 for s in next(iter(panels.values())))
    with drawing():
        figure = new_figure(PAGE_WIDTH, 0.9 + 1.3 * len(kinds) + 0.16 * lines)
        ratios = [1.3 if kind else 1 for kind in kinds]
        axes = figure.subplots(len(kinds), len(panels), squeeze=False, sharex="col", height_ratios=ratios)
        for column, (title, group) in enumerate(panels.items()):
            for place, kind in zip(axes[:, column], kinds, strict=True):
                _panel(place, title, group, kind)
            axes[-1, column].set(xlabel=xlabel, xlim=(-0.5, len(ticks) - 0.5))
            axes[-1, column].set_xticks(range(len(ticks)), [printable_lines(tick) for tick in ticks])
        _legend(figure, axes[:, 0])
    return figure


def _legend(figure: Figure, places: Iterable[Axes]) -> None:
    """Name the series of several axes in one legend below the figure."""
    handles, labels = [], []
    for place in places:
        marks, names = place.get_legend_handles_labels()
        handles += marks
        labels += names
    figure.legend(handles, labels, loc="outside lower left", alignment="left")


def printable_lines(text: str) -> str:
    """Return ``text`` with unprintable characters other than line breaks as escapes."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _panel(axes: Axes, title: str, group: Sequence[Series], measured: bool) -> None:
    """Draw the measured or the printed series of a group."""
    for number, one in enumerate(one for one in group if one.measured is measured):
        x, colour, mark = np.arange(len(one.means)), PALETTE[number % len(PALETTE)], MARKS[number % len(MARKS)]
        if one.measured:
            axes.errorbar(x, one.means, yerr=one.spread, color=colour, marker="o", markersize=4, capsize=2.5,
                          linewidth=1.2, elinewidth=1, label=_label(one), zorder=3)  # fmt: skip
        else:
            axes.plot(x, one.means, linestyle="none", marker=mark, markersize=4.5, markerfacecolor="none",
                      markeredgecolor=INK, label=_label(one))  # fmt: skip
    axes.margins(y=0.15)
    axes.set_ylabel(f"{title}, {'measured' if measured else 'printed'}")
    axes.grid(axis="y")


def _label(series: Series) -> str:
    return printable_lines(textwrap.fill(series.label, 120))


def rows_figure(groups: Mapping[str, tuple[Sequence[str], Mapping[str, Series]]]) -> Figure:
    """Draw one line per method and one column per number, in groups that each have a header.

    Args:
        groups: by header, the names of the methods and per column a series with a value for each. Each group has its
            own axes, so that printed and measured numbers do not share them.

    Raises:
        VireidError: no group, a series whose length differs from its names, or matplotlib is not installed.
    """
    lengths = [len(names) for names, _ in groups.values()]
    columns = list(dict.fromkeys(title for _, panels in groups.values() for title in panels))
    if not groups or any(len(s.means) != len(names) for names, panels in groups.values() for s in panels.values()):
        raise VireidError("rows figure: expected groups with one value per name and column")
    headers = [printable_lines(textwrap.fill(header, 95)) for header in groups]
    heights = [0.55 + 0.17 * (h.count("\n") + 1) + 0.16 * n for h, n in zip(headers, lengths, strict=True)]
    with drawing():
        figure = new_figure(PAGE_WIDTH, sum(heights))
        parts = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)
        for part, header, (names, panels) in zip(parts[:, 0], headers, groups.values(), strict=True):
            part.suptitle(header, x=0.01, ha="left", fontsize=8, fontweight="bold")
            axes = part.subplots(1, len(columns), squeeze=False, sharey=True)[0]
            for place, title in zip(axes, columns, strict=True):
                _lines(place, panels[title])
                place.set(xlabel=title, ylim=(len(names) - 0.4, -0.6))
                place.set_yticks(range(len(names)), [printable(name) for name in names])
                place.grid()
    return figure


def _lines(axes: Axes, series: Series) -> None:
    y = np.arange(len(series.means))
    colour = PALETTE[0] if series.measured else INK
    axes.errorbar(series.means, y, xerr=series.spread if series.measured else None, linestyle="none", color=colour,
                  marker="o" if series.measured else "s", markersize=4, capsize=2.5, elinewidth=1,
                  markerfacecolor=colour if series.measured else "none")  # fmt: skip
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=4)
