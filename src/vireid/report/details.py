"""Details behind the averages, as tables and charts of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vireid.evaluation.records import select
from vireid.evaluation.results import Result
from vireid.figures.curves import det_figure
from vireid.figures.style import to_svg
from vireid.report.document import Curve
from vireid.report.html import Cell, Table
from vireid.runs.evaluation import Against, Evaluation
from vireid.training.health import health_history, health_warnings
from vireid.training.monitor import read_metrics


def detail_tables(evaluation: Evaluation) -> tuple[Table, ...]:
    """Confidence intervals, camera and modality pairs, alarm thresholds, and the test against another run."""
    makers = [_intervals]
    makers += [_pairs, _thresholds] if evaluation.analyses else []
    tables = tuple(make(evaluation) for make in makers)
    return (*tables, against_table(evaluation, evaluation.against)) if evaluation.against else tables


def health_tables(run: Path) -> tuple[Table, ...]:
    """The health of the method's parts after the first, the middle and the last epoch; none where it was not measured.

    The last column is that of the whole run's end, also where another epoch's weights were kept.
    """
    epochs = health_history(read_metrics(run))
    if not epochs:
        return ()
    shown = {"First epoch": epochs[0], "Middle": epochs[len(epochs) // 2], "Last epoch": epochs[-1]}
    rows = tuple(
        (*name.replace("_", " ").split("/"), *(f"{e[name]:.3g}" if name in e else None for e in shown.values()))
        for name in epochs[-1]
    )
    warnings = " ".join(f"{text[:1].upper()}{text[1:]}." for text in health_warnings(epochs[-1]))
    note = f"Over a fixed probe of training images (docs/method.md, Method health). {warnings or 'No part is inert.'}"
    return (Table("Method health", ("Part", "Measure", *shown), rows, note),)


def det_curve(evaluation: Evaluation) -> Curve:
    """Detection error trade-off of every setting."""
    curves = {}
    for result in plain_results(evaluation)[:6]:  # as many as the palette tells apart
        det = evaluation.analyses[result.setting.name].det
        rates = [(point.false_match_rate, point.false_non_match_rate) for point in det]
        false_match, missed = np.array(rates).T
        curves[direction_name(result)] = false_match, missed
    caption = "Per comparison: how many true matches an alarm misses at a given rate of false ones."
    return Curve("Detection error trade-off", to_svg(det_figure(curves)), caption)


def _intervals(evaluation: Evaluation) -> Table:
    rows: list[tuple[Cell, ...]] = []
    # The plain result is the first of each setting.
    for name, result in sorted({r.setting.name: r for r in reversed(evaluation.results)}.items()):
        shown = [f"{100 * low:.1f} to {100 * high:.1f}" for low, high in result.intervals.values()]
        worst = [f"{rank:.0f}" for rank in result.worst_quantiles.values()]
        rows.append((name, *shown, *worst))
    columns = ("Setting", "R1", "R5", "R10", "R20", "mAP", "mINP", "Worst match: median", "90 %", "last")
    note = "Percent, 95 % bootstrap intervals over identities; rank of a query's worst match, in images."
    return Table("How sure the numbers are", columns, tuple(rows), note)


def _pairs(evaluation: Evaluation) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, analysis in evaluation.analyses.items():
        for cell in analysis.modalities if "mixed" in name else analysis.cameras:
            numbers = [f"{100 * value:.1f}" for value in (cell.rank1, cell.map, cell.minp)]
            rows.append((name, cell.query, cell.gallery, f"{cell.images:.0f}", cell.valid_queries, *numbers))
    columns = ("Setting", "Query", "Gallery", "Gallery images", "Valid queries", "R1", "mAP", "mINP")
    return Table("Pair by pair", columns, tuple(rows), "Queries of one group against the gallery images of one group.")


def _thresholds(evaluation: Evaluation) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, analysis in evaluation.analyses.items():
        points = {f"{rate:g} wanted": point for rate, point in analysis.thresholds.items()}
        for wanted, point in (points | {"equal errors": analysis.equal_error}).items():
            rates = (f"{point.false_match_rate:.2e}", f"{100 * point.false_non_match_rate:.1f} %")
            rows.append((name, wanted, f"{point.threshold:.4f}", *rates))
    columns = ("Setting", "False-match rate", "Similarity threshold", "False-match rate found", "True matches missed")
    note = "Rates are per comparison; a search of n gallery images raises about n times as many false alarms."
    return Table("Alarm thresholds", columns, tuple(rows), note)


def against_table(evaluation: Evaluation, other: Against) -> Table:
    """The differences between two runs' plain results, with what else differs below."""
    rows: list[tuple[Cell, ...]] = []
    for name, numbers in other.differences.items():
        for number in ("rank1", "map", "minp"):
            d = numbers[number]
            change = (f"{100 * d.mean:+.2f}", f"{100 * d.low:+.2f} to {100 * d.high:+.2f}", f"{d.p:.4f}")
            rows.append((name, number, *change))
    columns = ("Setting", "Number", "Difference", "95 % interval", "p")
    what = f"Points, {evaluation.models[0].name} minus {other.name}; sign-flip permutation test over identities"
    return Table("Against the other run", columns, tuple(rows), f"{'; '.join((what, *other.warnings))}.")


def plain_results(evaluation: Evaluation) -> tuple[Result, ...]:
    """The results to look at first: one per published setting, the paper's feature, nothing added."""
    plain = select(evaluation.results, feature=evaluation.models[0].kinds[0], flip=False, method="cosine")
    return tuple(result for result in plain if result.search != "mixed")


def direction_name(result: Result) -> str:
    """How a reader calls a setting: search mode and direction."""
    name = result.direction.replace("-to-", " to ")
    return name.capitalize() if result.search == "whole" else f"{result.search.capitalize()} search, {name}"
