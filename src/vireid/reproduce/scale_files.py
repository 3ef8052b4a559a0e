"""What `vireid scale` writes: the measurements as a table, and their curves."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from vireid.figures.style import DASHES, PAGE_WIDTH, PALETTE, drawing, new_figure, write_figure
from vireid.files import atomic_path
from vireid.reproduce.scale import STAGES, USUAL_IMAGES, Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_scale(out: Path, found: Sequence[Measurement]) -> None:
    """Write ``scale.csv``, ``.pdf`` and ``.png``.

    Raises:
        VireidError: the report extra is not installed, or the folder cannot be written.
    """
    with atomic_path(out / "scale.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measurement)], lineterminator="\n")
        writer.writeheader()
        for one in found:
            writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(one).items()})
    figure = scale_figure(found)
    for suffix in (".pdf", ".png"):
        write_figure(out / f"scale{suffix}", figure)


def scale_figure(found: Sequence[Measurement]) -> Figure:
    """Draw seconds and peak memory over the gallery's size, and seconds over the identities of the largest gallery."""
    largest = max(one.gallery for one in found)
    growing = [one for one in found if one.identities == one.gallery // USUAL_IMAGES]
    whole = sorted((one for one in found if one.gallery == largest), key=lambda one: one.identities)
    with drawing():
        figure = new_figure(PAGE_WIDTH, 2.5)
        left, middle, right = figure.subplots(1, 3)
        _lines(left, growing, lambda one: one.gallery, lambda one: one.seconds)
        _lines(middle, growing, lambda one: one.gallery, lambda one: one.peak)
        _lines(right, whole, lambda one: one.identities, lambda one: one.seconds)
        seconds = f"seconds for {found[0].queries} queries"
        left.set(xlabel="gallery vectors", ylabel=seconds)
        middle.set(xlabel="gallery vectors", ylabel="peak memory of the process, GiB")
        right.set(xlabel=f"identities of {largest:,} vectors", ylabel=seconds)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=len(STAGES))
    return figure


def _lines(
    axes: Axes, found: Sequence[Measurement], x: Callable[[Measurement], float], y: Callable[[Measurement], float]
) -> None:
    for number, (stage, meaning) in enumerate(STAGES.items()):
        ones = [one for one in found if one.stage == stage]
        label = f"{stage} ({meaning})"
        axes.loglog([x(one) for one in ones], [y(one) for one in ones], marker="o", markersize=3, label=label,
                    color=PALETTE[number], linestyle=DASHES[number])  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,g}")  # the usual powers need parsed mathematics
        axis.set_minor_formatter(lambda *_: "")
    axes.grid()
