"""Ranked lists: a query and its gallery matches, marked right or wrong (Fig. 6 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vireid.figures.images import Image, check_image
from vireid.figures.style import INK, PAGE_WIDTH, RIGHT, WRONG, drawing, new_figure, printable
from vireid.types import Modality, VireidError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNS = {True: "✓", False: "✗"}
"""Signs besides the colours, for readers and printers without colour."""


@dataclass(frozen=True)
class RankedEntry:
    """One match: image (uint8, (height, width, 3)), identity, similarity in [-1, 1], right or wrong."""

    image: Image
    label: str
    similarity: float
    correct: bool
    modality: Modality
    camera: int | str

    def __post_init__(self) -> None:
        check_image(self.image, "ranked entry, image")


@dataclass(frozen=True)
class RankedList:
    """One query (image uint8, (height, width, 3)) and its gallery matches, most similar first."""

    query: Image
    query_label: str
    query_modality: Modality
    query_camera: int | str
    entries: tuple[RankedEntry, ...]

    def __post_init__(self) -> None:
        check_image(self.query, "ranked list, query")

    @property
    def first_match(self) -> int | None:
        """The rank, from 1, of the first right match; None if no match shown is right."""
        return next((rank for rank, entry in enumerate(self.entries, start=1) if entry.correct), None)


def ranked_figure(lists: Sequence[RankedList], columns: int = 10) -> Figure:
    """Draw one row per query: the query, then its first ``columns`` matches, with similarity and sign above each.

    The figure is a page wide. Write it with ``style.write_figure`` as PNG or PDF.

    Raises:
        VireidError: no list, ``columns`` below 1, or matplotlib is not installed.
    """
    if not lists or columns < 1:
        raise VireidError(f"ranked lists: expected at least one list and one column, got {len(lists)} and {columns}")
    cell = PAGE_WIDTH / (columns + 1.35)
    with drawing():
        shapes = [ranked.query.shape for ranked in lists]
        tallest = max(height / width for height, width, _ in shapes)
        figure = new_figure(PAGE_WIDTH, len(lists) * (cell * tallest + 0.36))
        # The empty second column separates the query from its matches.
        grid = figure.add_gridspec(len(lists), columns + 2, width_ratios=[1, 0.12, *[1] * columns])
        for row, ranked in enumerate(lists):
            axes = figure.add_subplot(grid[row, 0])
            _frame(axes, ranked.query, INK, dashed=False)
            axes.set_title("query", fontsize=6.5, pad=2)
            axes.set_xlabel(
                _caption(ranked.query_modality, ranked.query_camera, ranked.query_label),
                fontsize=5,
                labelpad=2,
            )
            for column, entry in enumerate(ranked.entries[:columns]):
                _draw_entry(figure.add_subplot(grid[row, column + 2]), entry)
    return figure


def _draw_entry(axes: Axes, entry: RankedEntry) -> None:
    colour = RIGHT if entry.correct else WRONG
    _frame(axes, entry.image, colour, dashed=not entry.correct)
    title = f"{entry.similarity:.2f} {SIGNS[entry.correct]}"
    axes.set_title(title, fontsize=6.5, pad=2, color=colour, fontweight="bold")
    axes.set_xlabel(_caption(entry.modality, entry.camera, entry.label), fontsize=5, labelpad=2)


def _frame(axes: Axes, image: Image, colour: str, *, dashed: bool) -> None:
    axes.imshow(image, aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(
            visible=True,
            color=colour,
            linewidth=1.6,
            linestyle=(0, (2, 1)) if dashed else "-",
            capstyle="butt",
        )


def _caption(modality: Modality, camera: int | str, label: str) -> str:
    name = printable(label)
    short = name if len(name) <= 14 else name[:13] + "…"
    return f"{short}\n{modality}\ncam {printable(str(camera))}"
