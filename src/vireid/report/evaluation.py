"""The report of an evaluation: numbers, curves, ranked lists and response maps in one HTML file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from vireid.deploy.run import RunEmbedder
from vireid.evaluation.records import select
from vireid.evaluation.results import Result, comparability
from vireid.figures.curves import CmcCurve, TrainingLog, cmc_figure, training_figures
from vireid.figures.ranked_lists import ranked_figure
from vireid.figures.style import to_svg, write_figure
from vireid.files import write_json
from vireid.report.details import det_curve, detail_tables, direction_name, health_tables, plain_results
from vireid.report.document import Curve, Headline, RankedSection, Report, write_report
from vireid.report.html import Cell, Table
from vireid.report.pictures import heatmap_rows, query_lists, spread_queries
from vireid.runs.evaluation import Evaluation
from vireid.training.monitor import read_metrics

COLUMNS = ("Setting", "Feature", "Ranking", "R1", "R5", "R10", "R20", "mAP", "mINP", "Trials", "Valid queries")

QUERIES = "Queries are spread evenly over the query list, chosen without looking at the answers; first trial."


def write_evaluation(evaluation: Evaluation, folder: Path) -> tuple[Path, Path]:
    """Write ``results.json``, ``report.html`` and ``ranked-lists.png`` into ``folder``; return the first two paths.

    Raises:
        VireidError: the report extra is not installed, or the folder cannot be written.
    """
    results, page = folder / "results.json", folder / "report.html"
    report = make_report(evaluation)
    write_report(page, report)
    write_figure(
        folder / "ranked-lists.png", ranked_figure([ranked for part in report.ranked for ranked in part.lists])
    )
    write_json(results, evaluation.to_dict())
    return results, page


def make_report(evaluation: Evaluation) -> Report:
    """Gather everything the report page shows."""
    shown = plain_results(evaluation)
    model = evaluation.models[0]
    run = model.run if isinstance(model, RunEmbedder) else None
    made_by = model.info.get("recipe", {}).get("name", model.name)
    lists = tuple(
        RankedSection(direction_name(r), query_lists(evaluation, r.setting, r.trials[0]), QUERIES)
        for r in _one_per_direction(shown)
    )
    rows = [
        int(r.setting.trials[0].query[i]) for r in _one_per_direction(shown) for i in spread_queries(r.trials[0], 3)
    ]
    return Report(
        title=f"{made_by} on {evaluation.dataset.name}",
        summary=summary(evaluation),
        headlines=tuple(headline for r in shown for headline in _headlines(r)),
        curves=(*_curves(shown), *([det_curve(evaluation)] if evaluation.analyses else [])),
        ranked=lists,
        heatmaps=heatmap_rows(evaluation, rows),
        tables=(
            results_table(evaluation.results),
            *detail_tables(evaluation),
            *(health_tables(run.folder) if run else ()),
        ),
        training=_training(run.folder) if run else (),
        facts=_facts(evaluation),
        recipe=yaml.safe_dump(run.recipe.to_dict(), sort_keys=False) if run else "",
    )


def summary(evaluation: Evaluation) -> tuple[str, ...]:
    """Sentences on what was measured, on what, and what to keep in mind."""
    dataset, model, info = evaluation.dataset, evaluation.models[0], evaluation.models[0].info
    identities = len({s.identity for s in dataset.test})
    across = len({r.setting.direction for r in plain_results(evaluation)}) > 1
    images = f"({len(dataset.test)} images, {dataset.layout} layout){', in both directions' if across else ''}."
    made = evaluation.synthetic
    sentences = [f"Tested on {identities} identities {images}"]
    if info.get("classes"):
        sentences = [f"Trained on {info['classes']} identities, tested on {identities} it never saw {images}"]
    if made:
        sentences.append(
            f"The images are rendered, not photographs: difficulty {made['difficulty']}, seed {made['seed']}. "
            "Numbers on them say nothing about real data sets."
        )
    if info.get("synthetic") and not made:
        sentences.append("The model saw rendered people only, so expect little on photographs of real ones.")
    sentences += _caveats(evaluation)
    if len(evaluation.models) > 1:
        sentences.append(f"Numbers are means over {len(evaluation.models)} runs; pictures are of {model.name}.")
    return tuple(sentences)


def _caveats(evaluation: Evaluation) -> list[str]:
    """What keeps the numbers from being compared with others."""
    plain = plain_results(evaluation)
    sentences = [f"{direction_name(r)}: {warning}." for r in plain for warning in r.warnings]
    others = [w for r in evaluation.results for w in r.warnings if r.search != "mixed"]
    said = {warning for r in plain for warning in r.warnings}
    sentences += [f"Other lines of the table: {w}." for w in dict.fromkeys(others) if w not in said]
    return sentences + list(comparability(plain))


def results_table(results: tuple[Result, ...]) -> Table:
    """All results as percentages, mean and standard deviation over trials."""
    rows: list[tuple[Cell, ...]] = []
    for r in results:
        mean, std, many = r.mean, r.std, len(r.trials) > 1
        numbers = [f"{100 * mean[n]:.2f} ± {100 * std[n]:.2f}" if many else f"{100 * mean[n]:.2f}" for n in mean]
        ranking = f"{r.method}{', flip averaged' if r.facts.flip_averaging else ''}"
        valid = sum(m.valid_queries for m in r.per_trial) // len(r.trials)
        rows.append((r.setting.name, r.facts.feature, ranking, *numbers, len(r.trials), valid))
    note = f"Percent; mean ± standard deviation over trials. Checkpoint: {results[0].facts.checkpoint_rule}."
    return Table("All results", COLUMNS, tuple(rows), note)


def _headlines(result: Result) -> tuple[Headline, Headline]:
    gallery = f"gallery of {result.gallery_identities[0]} identities, {result.gallery_images[0]} images"
    trials = f"{len(result.trials)} trials" if len(result.trials) > 1 else "1 trial"
    name, detail, several = direction_name(result), f"{gallery}, {trials}", len(result.trials) > 1

    def headline(title: str, number: str) -> Headline:
        spread = result.std[number] if several else None
        return Headline(f"{name}: {title}", result.mean[number], result.chance[number], spread, detail)

    return headline("rank-1", "rank1"), headline("mAP", "map")


def _curves(results: tuple[Result, ...]) -> tuple[Curve, ...]:
    unit = "identities" if results[0].setting.rule.identity_cmc else "images"
    caption = f"Share of queries matched within the first k {unit}, mean over trials."
    made = []
    for direction in dict.fromkeys(r.direction for r in results):
        chosen = select(results, direction=direction)
        curves = [CmcCurve(direction_name(r), r.curve.numpy()) for r in chosen]
        title = f"Cumulative matching characteristic, {direction.replace('-to-', ' to ')}"
        made.append(Curve(title, to_svg(cmc_figure(curves, _chance_curve(chosen[0]))), caption))
    return tuple(made)


def _chance_curve(result: Result) -> CmcCurve:
    """CMC of a random order where the unit is the identity: k of n identities come first; else only rank-1 is known."""
    if not result.setting.rule.identity_cmc:
        return CmcCurve("chance", np.array([result.chance["rank1"]]))
    ranks = np.arange(1, len(result.curve) + 1)
    return CmcCurve("chance", np.minimum(1, ranks / min(result.gallery_identities)))


def _one_per_direction(results: tuple[Result, ...]) -> tuple[Result, ...]:
    first: dict[str, Result] = {}
    for result in results:
        first.setdefault(result.direction, result)
    return tuple(first.values())


def _training(run: Path) -> tuple[Curve, ...]:
    lines = [line for line in read_metrics(run) if "total" in line]
    if not lines:
        return ()
    names = [n for n in lines[0] if n not in ("step", "epoch", "lr", "images_per_second")]
    steps = np.array([line["step"] for line in lines], dtype=float)
    losses = {name: np.array([line[name] for line in lines]) for name in names}
    log = TrainingLog(steps, losses, np.array([line["lr"] for line in lines]))
    return tuple(Curve(name.replace("_", "-"), to_svg(figure)) for name, figure in training_figures(log).items())


def _facts(evaluation: Evaluation) -> dict[str, str]:
    """What is known of the model and the rendered set: all of a run, less of an export, little of other models."""
    model, info = evaluation.models[0], evaluation.models[0].info
    images, seconds = info.get("training_images"), info.get("training_seconds")
    facts = {
        "run" if isinstance(model, RunEmbedder) else "model": model.name,
        "checkpoint": info.get("checkpoint_rule"),
        "seed": info.get("seed"),
        "trained on": f"{info['layout']} layout{'' if images is None else f', {images} images'}" if info else None,
        "device": f"{info.get('device', model.device)}, {info.get('precision', model.precision)}",
        "training time": None if seconds is None else f"{seconds:.0f} s",
        "git revision": info["git"] or "installed package" if info else None,
        "versions": ", ".join(f"{name} {version}" for name, version in (info.get("versions") or {}).items()) or None,
        "fingerprint": model.fingerprint,
    }
    facts |= {f"rendered set: {name}": str(value) for name, value in (evaluation.synthetic or {}).items()}
    return {name: str(value) for name, value in facts.items() if value is not None}
