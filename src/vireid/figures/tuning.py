"""A search for settings: what every trial reached, over the trials and over each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vireid.figures.style import INK, PAGE_WIDTH, PALETTE, drawing, new_figure, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tuning_figure(values: Sequence[float], settings: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw the validation mAP (fractions) of finished trials in their order with the best so far, then over settings.

    Args:
        settings: by name, (setting, mAP) of the trials that have it.

    Raises:
        VireidError: matplotlib is not installed.
    """
    columns = min(4, 1 + len(settings))
    rows = -(-(1 + len(settings)) // columns)
    with drawing():
        figure = new_figure(PAGE_WIDTH, 1.7 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        order = np.arange(1, len(values) + 1)
        axes[0].plot(order, 100 * np.array(values), "o", color=PALETTE[0], markersize=3)
        axes[0].plot(order, 100 * np.maximum.accumulate(values), color=INK, linewidth=1)
        axes[0].set(xlabel="finished trial, best so far", ylabel="validation mAP (%)")
        for place, (name, points) in zip(axes[1:], settings.items(), strict=False):
            x, y = np.array(points).T
            place.plot(x, 100 * y, "o", color=PALETTE[0], markersize=3)
            place.set_xlabel(printable(name))
        for place in axes[1 + len(settings) :]:
            place.set_axis_off()
    return figure
