"""The figures of docs/synthetic.md: people in three spectra, attribute statistics, the difficulty dial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vireid.figures.images import Image
from vireid.figures.style import DASHES, INK, PAGE_WIDTH, PALETTE, drawing, new_figure
from vireid.synthetic import Difficulty, Spectrum, render, sample_camera, sample_identity, sample_view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

HEIGHT, WIDTH = 288, 144
DPI = 300  # of `write_figure`, so that a rendered pixel is a pixel of the figure
GAP, HEAD = 12, 90  # pixels between pictures, and above them
SHOWN = (23, 25, 15)
LEVELS = (0.0, 0.5, 1.0)
CAMERAS = {Spectrum.VISIBLE: 1, Spectrum.NEAR: 3, Spectrum.THERMAL: 6}
NAMES = {Spectrum.VISIBLE: "visible", Spectrum.NEAR: "near infrared", Spectrum.THERMAL: "thermal"}
PANELS = ("height_cm", "skin", "hair", "hair_colour", "hat", "hood", "upper", "upper_colour", "upper_pattern",
          "lower", "lower_pattern", "lower_colour", "footwear", "footwear_colour", "bag")  # fmt: skip


def sheet_figure() -> Figure:
    """Draw people (rows) as three kinds of camera see them (groups of columns) at difficulties 0, 0.5 and 1.

    The part ``lookalikes`` stays at 0.3, as it changes who people are.
    """
    across, down = len(CAMERAS) * len(LEVELS), len(SHOWN)
    wide = across * WIDTH + (across - 1) * GAP + (len(CAMERAS) - 1) * GAP
    high = HEAD + down * (HEIGHT + GAP) - GAP
    with drawing():
        figure = new_figure(wide / DPI, high / DPI)
        figure.set_layout_engine("none")
        left = 0
        for spectrum, camera in CAMERAS.items():
            middle = (left + (len(LEVELS) * (WIDTH + GAP) - GAP) / 2) / wide
            figure.text(middle, 1.0 - 4 / high, NAMES[spectrum], ha="center", va="top", fontsize=9)
            for level in LEVELS:
                caption = f"difficulty {level:g}"
                place = (left + WIDTH / 2) / wide
                figure.text(place, 1.0 - (HEAD - 12) / high, caption, ha="center", va="bottom", fontsize=5.5)
                for index, image in enumerate(_column(spectrum, camera, level)):
                    top = HEAD + index * (HEIGHT + GAP)
                    box = (left / wide, 1.0 - (top + HEIGHT) / high, WIDTH / wide, HEIGHT / high)
                    axes = figure.add_axes(box)
                    axes.imshow(image, aspect="auto", interpolation="none")
                    axes.set_axis_off()
                left += WIDTH + GAP
            left += GAP
    return figure


def _column(spectrum: Spectrum, camera: int, level: float) -> list[Image]:
    difficulty = replace(Difficulty.even(level), lookalikes=0.3)
    people = [sample_identity(0, number, difficulty) for number in SHOWN]
    views = [sample_view(0, number, sample_camera(0, camera), 1, difficulty) for number in SHOWN]
    return list(render(people, views, spectrum, HEIGHT, WIDTH).numpy())


def attribute_figure(labels: Sequence[Mapping[str, str]]) -> Figure:
    """Draw how many of the people have each value of their attributes, in per cent."""
    with drawing():
        figure = new_figure(PAGE_WIDTH, 6.0)
        for index, name in enumerate(PANELS):
            axes = figure.add_subplot(3, 5, index + 1)
            values = [label[name] for label in labels]
            if name == "height_cm":
                axes.hist([float(value) for value in values], bins=12, color=PALETTE[0])
                axes.set_xlabel("cm", fontsize=6)
            else:
                _bars(axes, values)
            axes.set_title(name.replace("_cm", "").replace("_", " "), fontsize=7.5)
            axes.tick_params(labelsize=5.5, length=2)
    return figure


def _bars(axes: Axes, values: Sequence[str]) -> None:
    counts = Counter(values).most_common()[::-1]
    axes.barh([name for name, _ in counts], [100.0 * count / len(values) for _, count in counts], color=PALETTE[0])
    axes.set_xlabel("%", fontsize=6)


def dial_figure(even: Mapping[str, Mapping[float, Array]], added: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw a fixed model's error over the dial, and what each part adds; bars are 95 % intervals over people.

    ``even[pairing][level]`` are people's errors (fractions) with all parts at a level, ``added[part][pairing]`` what
    that part alone adds to them from 0 to 1.
    """
    with drawing():
        figure = new_figure(PAGE_WIDTH, 2.9)
        curve, parts = figure.subplots(1, 2)
        for index, (name, errors) in enumerate(even.items()):
            means, reach = _means(errors.values())
            curve.errorbar(list(errors), means, reach, color=PALETTE[index], ls=DASHES[index], lw=1.4, label=name)
            means, reach = _means(errors[name] for errors in added.values())
            rows = np.arange(len(added)) + 0.27 * (index - 1)
            parts.barh(rows, means, 0.25, xerr=reach, color=PALETTE[index], error_kw={"lw": 0.6, "ecolor": INK})
        curve.axhline(90.0, color=INK, alpha=0.55, linestyle=":", lw=1.2, label="chance")
        curve.set(xlabel="difficulty, all parts", ylabel="rank-1 error in galleries of ten (%)", ylim=(0, 100))
        curve.set_xticks(list(next(iter(even.values()))))
        curve.grid(axis="y")
        parts.set_yticks(range(len(added)), list(added))
        parts.invert_yaxis()
        parts.axvline(0.0, color=INK, lw=0.6)
        parts.set_xlabel("error added by one part from 0 to 1 (points)")
        parts.grid(axis="x")
        figure.legend(loc="outside lower left", ncols=4, handlelength=2.8)
    return figure


def _means(people: Iterable[Array]) -> tuple[list[float], list[float]]:
    """Return means and half widths of 95 % intervals, in per cent."""
    values = list(people)
    return [100.0 * float(v.mean()) for v in values], [196.0 * float(v.std()) / len(v) ** 0.5 for v in values]
