"""Figures of a tuning study: the results of the trials in order and over each setting, and importances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vireid.figures.style import COLUMN_WIDTH, INK, PAGE_WIDTH, PALETTE, drawing, new_figure, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABEL = "validation mAP (%)"


def history_figure(values: Sequence[float]) -> Figure:
    """Draw the mAP (fractions) of finished trials in order, and the best so far as a line."""
    with drawing():
        figure = new_figure(COLUMN_WIDTH, 2.2)
        axes, order = figure.subplots(), np.arange(1, len(values) + 1)
        axes.plot(order, 100 * np.array(values), "o", color=PALETTE[0], markersize=3, label="trial")
        axes.step(order, 100 * np.maximum.accumulate(values), color=INK, linewidth=1, where="post", label="best so far")
        axes.set(xlabel="finished trial", ylabel=_LABEL)
        axes.locator_params(axis="x", integer=True)
        axes.legend()
    return figure


def slices_figure(points: Mapping[str, Sequence[tuple[Any, float]]]) -> Figure:
    """Draw mAP over each setting: ``points`` maps a field to (value, mAP) of the finished trials that have it."""
    columns = max(1, min(3, len(points)))
    rows = max(1, -(-len(points) // columns))
    with drawing():
        figure = new_figure(PAGE_WIDTH, 1.8 * rows)
        places = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for place, (name, pairs) in zip(places.ravel(), points.items(), strict=False):
            place.plot([v for v, _ in pairs], [100 * m for _, m in pairs], "o", color=PALETTE[0], markersize=3)
            place.set_xlabel(printable(name))
            if not isinstance(pairs[0][0], str):
                place.locator_params(axis="x", nbins=4)
        for place in places.ravel()[len(points) :]:
            place.set_axis_off()
        for place in places[:, 0]:
            place.set_ylabel(_LABEL)
    return figure


def importance_figure(shares: Mapping[str, float]) -> Figure:
    """Draw the importance of the settings (shares that sum to 1)."""
    with drawing():
        figure = new_figure(COLUMN_WIDTH, 0.7 + 0.25 * max(1, len(shares)))
        axes = figure.subplots()
        axes.barh([printable(name) for name in shares], list(shares.values()), color=PALETTE[0])
        axes.invert_yaxis()
        axes.set_xlabel("importance (share)")
    return figure
