"""Curves of accuracy against the strength of corruptions, and a sheet of corrupted pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from vireid.figures.style import DASHES, PAGE_WIDTH, PALETTE, drawing, new_figure, printable
from vireid.images import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL = 12
"""Height in pixels of a line of text on a sheet."""


def corruption_figure(panels: Mapping[str, Mapping[str, Sequence[float]]], number: str, title: str) -> Figure:
    """Draw one panel per corruption, four per row, with one line per run; the figure is a page wide.

    Args:
        panels: percentages for clean and each strength, by panel title and run.
        number: name of the values, for the axis.
        title: what was measured, and on which data.
    """
    rows = -(-(len(panels) + 1) // 4)
    with drawing():
        figure = new_figure(PAGE_WIDTH, 0.4 + 1.6 * rows)
        figure.suptitle(printable(title), x=0.01, ha="left", fontsize=8)
        axes = figure.subplots(rows, 4, sharex=True, sharey=True, squeeze=False).ravel()
        for place, (name, runs) in zip(axes, panels.items(), strict=False):
            for index, (run, values) in enumerate(runs.items()):
                look = {"color": PALETTE[index % len(PALETTE)], "linestyle": DASHES[index % len(DASHES)]}
                place.plot(range(len(values)), values, marker="o", markersize=3, label=printable(run), **look)
            place.set_title(name)
            place.grid()
            place.set_ylim(bottom=0)
            place.set_xticks(range(6), ["clean", "1", "2", "3", "4", "5"])
        for place in axes[::4]:
            place.set_ylabel(f"{number} (%)")
        for place in axes[len(panels) :]:
            place.axis("off")
        for place in axes[len(panels) - 4 : len(panels)]:
            place.tick_params(labelbottom=True)
            place.set_xlabel("strength")
        axes[-1].legend(*axes[0].get_legend_handles_labels(), loc="center left")
    return figure


def contact_sheet(rows: Mapping[str, Sequence[Pixels]], columns: Sequence[str]) -> Image.Image:
    """Return a picture of labelled rows of images (h, w, 3) of equal size, in 128 colours to keep the file small."""
    height, width = next(iter(rows.values()))[0].shape[:2]
    size = (len(columns) * (width + 2), LABEL + len(rows) * (height + LABEL + 2))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, text in enumerate(columns):
        draw.text((column * (width + 2), 0), text, "black")
    for row, (text, images) in enumerate(rows.items()):
        top = LABEL + row * (height + LABEL + 2)
        draw.text((0, top), text, "black")
        for column, image in enumerate(images):
            sheet.paste(Image.fromarray(np.ascontiguousarray(image)), (column * (width + 2), top + LABEL))
    return sheet.quantize(128, dither=Image.Dither.NONE)
