"""Fig. 1: where the baseline and the DFW model respond for the same people, and how much of it lies on the body."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vireid.data.layouts import open_dataset, open_pixels
from vireid.data.masks import Masks, body_masks
from vireid.data.pixels import PixelStore
from vireid.figures.heatmaps import overlay, response_map
from vireid.figures.images import Image
from vireid.figures.responses import responses_figure
from vireid.models.weakening import DynamicFeatureWeakening
from vireid.report.pictures import image, stage_maps
from vireid.reproduce.grid import Grid, label_of_one
from vireid.reproduce.items import Item, Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.masks import body_correlation, body_share, strong_share
from vireid.reproduce.measured import Value
from vireid.reproduce.tables import Block, ResultTable, Row
from vireid.reproduce.variants import BASELINE, NO_RE, NO_SLN, require_full_method
from vireid.training.checkpoint import load_run
from vireid.types import Dataset, Modality, Sample

PEOPLE, MEASURED_PEOPLE = 4, 48
COLUMNS = {
    "correlation": "correlation with the body (%)",
    "body": "response above its minimum on the body (%)",
    "strong": "positions at or above the mean (%)",
}
CAPTION = (
    "Fig. 1, response (eq. 1) of a model trained without DFW and one trained with it, both without SLN and random "
    "erasing: mean ± standard deviation over images; before and after the weakening of each stage, for both models, "
    "and of layer4. The paper prints pictures, no numbers."
)


def runs(grid: Grid) -> dict[str, tuple[Job, ...]]:
    """Return the two runs to compare: the first and second row of Table 1, first seed."""
    require_full_method(grid)
    return {"baseline": grid.jobs(*BASELINE)[:1], "DFW": grid.jobs(*NO_SLN, *NO_RE)[:1]}


def make(grid: Grid) -> Product:
    """Measure the responses and draw them."""
    chosen = {label: job for label, (job,) in runs(grid).items()}
    dataset = open_dataset(grid.data, chosen["DFW"].trial or 1)
    models = {label: load_run(grid.folder(job)) for label, job in chosen.items()}
    samples = _chosen(dataset)
    store = open_pixels(dataset, samples, grid.base.data)
    masks = body_masks(dataset, samples)
    rows = [] if masks is None else [_areas(masks, samples, modality) for modality in Modality]
    pictures: dict[int, dict[str, Image]] = {row: {} for row in range(2 * PEOPLE)}
    for label, run in models.items():
        for modality in Modality:
            index = np.arange(int(modality), len(samples), 2)
            maps = stage_maps(run.network, store.batch(index), modality)
            for row, drawn in zip(index, response_map(maps["branch 1"])[:PEOPLE], strict=False):
                pictures[int(row)][label] = overlay(image(store, int(row))[None], drawn[None])[0]
            for stage, features in _stages(grid, maps).items():
                numbers: dict[str, Value | None] = {"strong": _spread(strong_share(features))}
                if masks is not None:
                    numbers["body"] = _spread(body_share(features, masks[index]))
                    numbers["correlation"] = _spread(body_correlation(features, masks[index]))
                rows.append(Row((label, str(modality), stage), numbers))
    block = Block(
        f"{label_of_one(grid)}, {len(samples) // 2} people", "measured", label_of_one(grid), (("", 3),), tuple(rows)
    )
    table = ResultTable("fig1", CAPTION, ("model", "modality", "stage"), COLUMNS, (block,))
    people = [_person(store, pictures, row) for row in range(0, min(2 * PEOPLE, len(samples)), 2)]
    return Product(table, responses_figure(people), dpi=150)


def _chosen(dataset: Dataset) -> tuple[Sample, ...]:
    """Return a visible and an infrared image, alternating, of up to `MEASURED_PEOPLE` evenly chosen test people."""
    first: dict[tuple[int, Modality], Sample] = {}
    for sample in dataset.test:
        first.setdefault((sample.identity, sample.modality), sample)
    both = [who for who, modality in first if not modality and (who, Modality.INFRARED) in first]
    picks = np.linspace(0, len(both) - 1, min(MEASURED_PEOPLE, len(both))).round().astype(int)
    return tuple(first[both[i], modality] for i in picks for modality in Modality)


def _stages(grid: Grid, maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the shared stages before and after the full method's weakening, and layer4."""
    config = grid.base.model.weakening
    weaken = DynamicFeatureWeakening(config.matrix, config.alpha, config.beta, config.gate)
    found: dict[str, Tensor] = {}
    for name in config.after:
        found |= {f"{name} before": maps[name], f"{name} after": weaken(maps[name])}
    return found | {"layer4": maps["branch 1"]}


def _areas(masks: Masks, samples: tuple[Sample, ...], modality: Modality) -> Row:
    area = [float(masks[i].mean()) for i, s in enumerate(samples) if s.modality == modality]
    return Row(("any", str(modality), "area of the body"), {"body": _spread(np.array(area))})


def _person(store: PixelStore, pictures: dict[int, dict[str, Image]], row: int) -> list[tuple[str, Image]]:
    return [
        (f"{modality}\n{title}", picture)
        for modality in Modality
        for title, picture in ({"image": image(store, row + modality)} | pictures[row + modality]).items()
    ]


def _spread(shares: npt.NDArray[np.float64]) -> Value | None:
    shares = shares[np.isfinite(shares)]  # a map without a pattern has none
    if not len(shares):
        return None
    return Value(100 * float(shares.mean()), 100 * float(shares.std(ddof=1)) if len(shares) > 1 else None)


ITEM = Item(runs, make, COLUMNS)
