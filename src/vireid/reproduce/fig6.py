"""Fig. 6: what the full method ranks first, for five visible and five infrared queries."""

from __future__ import annotations

from vireid.evaluation.records import select
from vireid.figures.ranked_lists import ranked_figure
from vireid.report.pictures import query_lists
from vireid.reproduce.grid import Grid, label_of_one
from vireid.reproduce.items import Item, Product
from vireid.reproduce.jobs import Job
from vireid.reproduce.measured import Value
from vireid.reproduce.tables import Block, ResultTable, Row
from vireid.runs.evaluation import evaluate
from vireid.types import FeatureKind, Modality

KEYS = ("direction", "query", "first true match at rank", "right of 10")
COLUMNS = {"similarity": "top similarity"}
CAPTION = (
    "Fig. 6, ten most similar gallery images of five visible and five infrared queries of different people, spread "
    "evenly over the query list without looking at the matches; first seed, first gallery. The paper prints pictures, "
    "no numbers."
)


def runs(grid: Grid) -> dict[str, tuple[Job, ...]]:
    """Return the run of the full method whose lists are shown: that of the first seed."""
    return {"this method": grid.jobs()[:1]}


def make(grid: Grid) -> Product:
    """Rank the gallery and draw the lists."""
    (run,) = runs(grid)["this method"]
    evaluation = evaluate([grid.folder(run)], grid.data, trial=run.trial, gallery=grid.gallery)
    plain = select(evaluation.results, feature=FeatureKind.AFTER_BNNECK, flip=False, method="cosine")
    lists, rows = [], []
    for direction in (modality.across for modality in Modality):
        result = next(r for r in select(plain, direction=direction) if r.search in ("all", "whole"))
        for ranked in query_lists(evaluation, result.setting, result.trials[0]):
            right = sum(entry.correct for entry in ranked.entries)
            keys = (direction.replace("-", " "), ranked.query_label, str(ranked.first_match or "none"), str(right))
            lists.append(ranked)
            rows.append(Row(keys, {"similarity": Value(ranked.entries[0].similarity)}))
    block = Block(label_of_one(grid), "measured", label_of_one(grid), (("", 1),), tuple(rows))
    table = ResultTable("fig6", f"{CAPTION} {grid.protocol}", KEYS, COLUMNS, (block,))
    return Product(table, ranked_figure(lists), dpi=120)


ITEM = Item(runs, make, COLUMNS)
