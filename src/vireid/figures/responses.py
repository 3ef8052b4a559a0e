"""Response maps of several models side by side, for the same images (Fig. 1 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vireid.figures.images import Image, check_image
from vireid.figures.style import PAGE_WIDTH, drawing, new_figure
from vireid.types import VireidError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACROSS = 2  # people per row


def responses_figure(people: Sequence[Sequence[tuple[str, Image]]]) -> Figure:
    """Draw each person's titled pictures (uint8, (height, width, 3)) in a row, two people across the page.

    Raises:
        VireidError: no people, people with different numbers of pictures, or matplotlib is not installed.
    """
    if not people or len({len(pictures) for pictures in people}) != 1 or not people[0]:
        raise VireidError("response maps: expected people with the same number of pictures each")
    count = len(people[0])
    across = min(_ACROSS, len(people))
    rows = -(-len(people) // across)
    shape = check_shape(people)
    with drawing():
        cell = PAGE_WIDTH / (_ACROSS * count + 0.6)
        figure = new_figure(PAGE_WIDTH * across / _ACROSS, rows * (cell * shape + 0.1) + 0.3)
        widths = ([1.0] * count + [0.3]) * (across - 1) + [1.0] * count
        grid = figure.add_gridspec(rows, len(widths), width_ratios=widths)
        for number, pictures in enumerate(people):
            row, side = divmod(number, across)
            for place, (title, picture) in enumerate(pictures):
                axes = figure.add_subplot(grid[row, side * (count + 1) + place])
                axes.imshow(picture, aspect="equal")
                axes.set_axis_off()
                if row == 0:
                    axes.set_title(title, fontsize=6.5, pad=2)
    return figure


def check_shape(people: Sequence[Sequence[tuple[str, Image]]]) -> float:
    """Return the largest height / width of the pictures, which must all be RGB images."""
    for pictures in people:
        for title, picture in pictures:
            check_image(picture, f"response maps, {title!r}")
    shapes = [picture.shape for pictures in people for _, picture in pictures]
    return max(float(height / width) for height, width, _ in shapes)
