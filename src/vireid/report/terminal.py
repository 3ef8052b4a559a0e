"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from vireid.data.check import CheckReport
from vireid.evaluation.results import Result
from vireid.models.cost import Cost
from vireid.report import html


def check_tables(report: CheckReport) -> list[Table]:
    """Sizes beside the published ones, then everything that is wrong in one table."""
    sizes = Table(title=f"{escape(str(report.root))}: {report.layout} layout", title_justify="left")
    for name in ("", "found", "published"):
        sizes.add_column(name, justify="left" if not name else "right")
    for count in report.counts:
        sizes.add_row(count.name, f"{count.found:,}", "" if count.published is None else f"{count.published:,}")
    sizes.caption = escape("; ".join(report.notes)) or None
    if not report.problems:
        return [sizes]
    problems = Table(title=f"{len(report.problems)} problems", title_justify="left")
    for name in ("kind", "where", "what"):
        problems.add_column(name, overflow="fold")
    for problem in report.problems:
        problems.add_row(problem.kind, escape(problem.where), escape(problem.what))
    return [sizes, problems]


def result_tables(results: tuple[Result, ...]) -> list[Table]:
    """One table per setting, percent, mean and standard deviation over trials."""
    tables: dict[str, Table] = {}
    for result in results:
        setting, trials = result.setting, len(result.trials)
        if setting.name not in tables:
            title = f"{escape(setting.name)}, {trials} trial{'s' * (trials > 1)}"
            table = tables[setting.name] = Table(title=title, title_justify="left", box=None, pad_edge=False)
            for name in ("", "R1", "R5", "R10", "R20", "mAP", "mINP"):
                table.add_column(name, justify="right" if name else "left")
        mean, std = result.mean, result.std
        label = result.facts.feature + ", flip" * result.facts.flip_averaging
        label += f", {result.method}" if result.method != "cosine" else ""
        numbers = (f"{100 * mean[n]:.2f}" + f"±{100 * std[n]:.1f}" * (trials > 1) for n in mean)
        tables[setting.name].add_row(label, *numbers)
    for name, table in tables.items():
        lines = [r for r in results if r.setting.name == name]
        note = f"checkpoint: {lines[0].facts.checkpoint_rule}; chance R1 {100 * lines[0].chance['rank1']:.2f}"
        table.caption = escape("; ".join(dict.fromkeys([note, *(w for line in lines for w in line.warnings)])))
        table.caption_justify = "left"
    return list(tables.values())


def plain_table(table: html.Table) -> Table:
    """A table of the report: two columns of text, then numbers."""
    shown = Table(title=escape(table.title), title_justify="left", box=None, pad_edge=False)
    for position, name in enumerate(table.columns):
        shown.add_column(name, justify="right" if position > 1 else "left")
    for row in table.rows:
        shown.add_row(*(escape(str(cell)) for cell in row))
    shown.caption, shown.caption_justify = escape(table.note), "left"
    return shown


def score_table(scores: dict[str, Any]) -> Table:
    """One line per way of ranking, percent."""
    title = f"{scores['queries']} queries, {scores['gallery']} gallery images, {scores['protocol']} protocol"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    names = ("rank1", "rank5", "rank10", "rank20", "map", "minp")
    for name in ("ranking", *names, "valid queries"):
        table.add_column(name, justify="left" if name == "ranking" else "right", no_wrap=name == "ranking")
    for line in (scores, *scores["beside"]):
        table.add_row(line["method"], *(f"{100 * line[n]:.2f}" for n in names), str(line["valid_queries"]))
    chance = scores["chance"]
    table.add_row("chance", f"{100 * chance['rank1']:.2f}", "", "", "", f"{100 * chance['map']:.2f}", "", "")
    table.caption = "; ".join(scores["warnings"]) or None
    table.caption_justify = "left"
    return table


def cost_table(costs: dict[str, Cost]) -> Table:
    """Table 2's cost columns, one line per network."""
    table = Table(
        caption="One visible + one infrared image; no classifiers. MACs count a transformer's attention. "
        "MACs + BN adds 2 per BatchNorm element."
    )
    for name in ("network", "parameters (M)", "MACs (G)", "MACs + BN (G)", "peak memory (MiB)", "images/s"):
        table.add_column(name, justify="left" if name == "network" else "right")
    for name, c in costs.items():
        table.add_row(
            name,
            f"{c.parameters / 1e6:.3f}",
            f"{c.macs / 1e9:.4f}",
            f"{c.macs_with_batchnorm / 1e9:.4f}",
            f"{c.peak_memory / 2**20:.0f}",
            f"{c.images_per_second:.1f}",
        )
    return table
