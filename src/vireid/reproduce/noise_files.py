"""What `vireid noise` writes: table, curves and a sheet of the corrupted pictures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vireid.data.layouts import open_dataset
from vireid.data.pixels import PixelStore
from vireid.figures.corruption import contact_sheet, corruption_figure
from vireid.figures.style import write_figure
from vireid.files import atomic_path
from vireid.reproduce.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from vireid.reproduce.measured import Value
from vireid.reproduce.noise import NUMBERS, RunScores
from vireid.reproduce.tables import Block, ResultTable, Row, write_csv, write_latex
from vireid.types import Modality, VireidError

COLUMNS = {"clean": "clean"} | {str(s): str(s) for s in STRENGTHS} | {"ce": "CE"}
SHEET_SIZE = (144, 72)
SHEET_STRENGTHS = (1, 3, 5)


def noise_table(found: Sequence[RunScores]) -> ResultTable:
    """One block per setting and number; rows are runs x corruptions and their mean, the curve."""
    blocks = []
    for setting in found[0].clean:
        for number, title in NUMBERS.items():
            rows = [row for scores in found for row in _rows(scores, found[0], setting, number)]
            label = f"{title} on {found[0].data}, {setting}"
            blocks.append(
                Block(label, "measured", found[0].data, ((f"{title}, {setting}", len(COLUMNS)),), tuple(rows))
            )
    caption = f"Accuracy under corruption in percent; CE is the corruption error, {found[0].run} = 100."
    return ResultTable("noise", caption, ("run", "corruption"), COLUMNS, tuple(blocks))


def _rows(scores: RunScores, first: RunScores, setting: str, number: str) -> list[Row]:
    errors = scores.errors(first, setting, number)
    lines = _lines(scores, setting, number)
    return [
        Row((scores.run, kind),
            dict(zip(COLUMNS, map(Value, (*values, errors[kind])), strict=True)))
        for kind, values in lines.items()
    ]  # fmt: skip


def _lines(scores: RunScores, setting: str, number: str) -> dict[str, list[float]]:
    """Percent for clean and each strength: the mean first, then every corruption."""
    clean = scores.clean[setting][number]
    lines = {"mean": scores.curve(setting, number)}
    lines |= {kind: [clean, *(v[number] for v in levels)] for kind, levels in scores.corrupted[setting].items()}
    return {kind: [100 * value for value in values] for kind, values in lines.items()}


def noise_report(found: Sequence[RunScores]) -> dict[str, Any]:
    """Everything as JSON types, numbers in percent."""
    return {
        "data": found[0].data,
        "reference": found[0].run,
        "runs": {
            scores.run: {
                setting: {
                    number: {
                        "accuracy": _lines(scores, setting, number),
                        "corruption_error": scores.errors(found[0], setting, number),
                        "mean_over_all": 100 * statistics.fmean(scores.curve(setting, number)[1:]),
                    }
                    for number in NUMBERS
                }
                for setting in scores.clean
            }
            for scores in found
        },
    }


def write_noise(out: Path, found: Sequence[RunScores]) -> None:
    """Write ``noise.csv``, ``.tex``, ``.pdf`` and ``.png``; the figure shows the mAP in the first setting.

    Raises:
        VireidError: the report extra is not installed, or the folder cannot be written.
    """
    table = noise_table(found)
    write_csv(out / "noise.csv", table)
    write_latex(out / "noise.tex", table)
    setting = next(iter(found[0].clean))
    lines = {scores.run: _lines(scores, setting, "map") for scores in found}
    panels = {kind: {run: kinds[kind] for run, kinds in lines.items()} for kind in ("mean", *CORRUPTIONS)}
    figure = corruption_figure(panels, "mAP", f"{found[0].data}, {setting}")
    for suffix in (".pdf", ".png"):
        write_figure(out / f"noise{suffix}", figure)


def write_sheet(out: Path, data: Path) -> None:
    """Write ``corruptions.png``: one visible and one infrared test image in every corruption at strengths 1, 3 and 5.

    Raises:
        VireidError: not a data set, a modality without test images, a folder that cannot be written.
    """
    dataset = open_dataset(data)
    pictures: dict[str, list[np.ndarray[Any, np.dtype[np.uint8]]]] = {kind: [] for kind in CORRUPTIONS}
    for modality in Modality:
        samples = [s for s in dataset.test if s.modality == modality][:1]
        if not samples:
            raise VireidError(f"{data}: the test part has no {modality} images; both modalities are needed")
        clean = PixelStore.build(samples, *SHEET_SIZE).batch(np.array([0]))
        for kind, row in pictures.items():
            strong = [corrupt(clean, kind, s, modality, np.array([0])) for s in SHEET_STRENGTHS]
            row += [image[0].permute(1, 2, 0).numpy() for image in (clean, *strong)]
    columns = ("clean", *map(str, SHEET_STRENGTHS)) * 2
    with atomic_path(out / "corruptions.png") as path:
        contact_sheet(pictures, columns).save(path, optimize=True)
