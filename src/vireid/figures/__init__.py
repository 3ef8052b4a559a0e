"""Pictures of results as matplotlib figures and arrays: ranked lists, curves, response maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.figures.curves import CmcCurve, cmc_figure, det_figure, training_figures
    from vireid.figures.heatmaps import overlay, response_map
    from vireid.figures.ranked_lists import RankedEntry, RankedList, ranked_figure
    from vireid.figures.style import to_png, write_figure

__all__ = [
    "CmcCurve",
    "RankedEntry",
    "RankedList",
    "cmc_figure",
    "det_figure",
    "overlay",
    "ranked_figure",
    "response_map",
    "to_png",
    "training_figures",
    "write_figure",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CmcCurve": "curves",
        "RankedEntry": "ranked_lists",
        "RankedList": "ranked_lists",
        "cmc_figure": "curves",
        "det_figure": "curves",
        "overlay": "heatmaps",
        "ranked_figure": "ranked_lists",
        "response_map": "heatmaps",
        "to_png": "style",
        "training_figures": "curves",
        "write_figure": "style",
    },
)
