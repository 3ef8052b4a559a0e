"""Table 2: parameters, multiply-accumulates, training time and accuracy."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from vireid.build import new_network
from vireid.config import Recipe
from vireid.figures.points import Series, rows_figure
from vireid.files import read_json
from vireid.models.cost import count_macs, count_parameters
from vireid.recipes import load_recipe
from vireid.reproduce.grid import Grid
from vireid.reproduce.items import Item, Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import Value, values, with_paper
from vireid.reproduce.published import number, published
from vireid.reproduce.systems import system_jobs
from vireid.reproduce.tables import MEASURED, Block, ResultTable, Row
from vireid.reproduce.variants import BASELINE, require_full_method
from vireid.training.checkpoint import RUN

COLUMNS = {
    "params_m": "Params (M)",
    "macs_g": "MACs (G)",
    "train_min": "Training (min)",
    "r1": "R1",
    "map": "mAP",
}
PRINTED = {"params_m": "params_m", "macs_g": "macs_g", "train_min": "train_min_2080ti_regdb", "r1": "r1", "map": "map"}
CAPTION = (
    "Table 2, cost and accuracy. MACs are for one visible and one infrared image, with 2 operations per BatchNorm "
    "output element; parameters are without classifiers. The printed 26.71 M of the paper's method is impossible: its "
    f"printed 15.150 G require a complete second layer4, which gives 38.706 M. Accuracy: {MEASURED}"
)
COUNTED = {"Baseline": "baseline", "AGW": "agw", "MMN": "mmn", "Ours": "regdb-dfw"}
"""The recipes whose cost corresponds to the printed rows."""


def runs(grid: Grid) -> dict[str, tuple[Job, ...]]:
    """Return the runs of every printed row; those of the other systems are shared with Tables 3 and 4."""
    require_full_method(grid)
    others = {label: system_jobs(grid, COUNTED[label]) for label in ("AGW", "MMN")}
    return {"Baseline": grid.jobs(*BASELINE)} | others | {"Ours": grid.jobs()}


def make(grid: Grid) -> Product:
    """Count the cost, read training times and results, and build the table with the printed ones."""
    rows = [
        Row((line["method"],), {c: _printed(line[PRINTED[c]]) for c in COLUMNS}) for line in published("table2")
    ]  # fmt: skip
    paper = {row.keys[0]: row.values for row in rows}
    group = (("", len(COLUMNS)),)
    counted = [
        Row((method,), with_paper(_cost(load_recipe(recipe)), paper[method])) for method, recipe in COUNTED.items()
    ]
    ours = runs(grid)
    search = grid.searches[0]
    comparable = grid.in_paper and grid.dataset.layout == "regdb"
    measured = [
        Row((label,), with_paper(_row(grid, jobs), paper[label] if comparable else None, COLUMNS))
        for label, jobs in ours.items()
    ]
    device = ", ".join(dict.fromkeys(_info(grid, job, "device") for jobs in ours.values() for job in jobs))
    size = f"{grid.base.data.height} x {grid.base.data.width}"
    blocks = (
        Block("RegDB, NVIDIA 2080 Ti (paper)", "published", "RegDB (paper)", group, tuple(rows)),
        Block("counted, at the published input size, printed values in brackets", "measured", "counted, no data", group,
              tuple(counted)),
        Block(f"{grid.label}, {search.title}, {size} pixels, trained on {device}", "measured", grid.label, group,
              tuple(measured)),
    )  # fmt: skip
    table = ResultTable("table2", f"{CAPTION} {grid.protocol}", ("method",), COLUMNS, blocks)
    return Product(table, rows_figure({b.title: _panels(b) for b in (blocks[0], blocks[2])}))


def _row(grid: Grid, jobs: Sequence[Job]) -> dict[str, Value]:
    minutes = [float(_info(grid, job, "training_seconds")) / 60 for job in jobs]
    spread = statistics.stdev(minutes) if len(minutes) > 1 else None
    accuracy = values(grid, jobs, grid.searches[0])
    return _cost(jobs[0].recipe) | {"train_min": Value(statistics.fmean(minutes), spread)} | accuracy


def _cost(recipe: Recipe) -> dict[str, Value]:
    network = new_network(recipe.model, classes=1, size=recipe.data.size)
    macs = count_macs(network, *recipe.data.size)[1]
    return {"params_m": Value(count_parameters(network) / 1e6), "macs_g": Value(macs / 1e9)}


def _info(grid: Grid, job: Job, name: str) -> str:
    return str(read_json(grid.folder(job) / RUN, "a run.json that vireid train wrote")[name])


def _printed(text: str) -> Value | None:
    found = number(text)
    return None if found is None else Value(found)


def _panels(block: Block) -> tuple[list[str], dict[str, Series]]:
    cells = {title: [row.values.get(c) for row in block.rows] for c, title in COLUMNS.items()}
    return [row.keys[0] for row in block.rows], {
        title: Series.of(block.data, numbers, block.source == "measured") for title, numbers in cells.items()
    }


ITEM = Item(runs, make, COLUMNS)
