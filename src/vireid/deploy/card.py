"""The model card: training data, accuracy, limits and intended use."""

from __future__ import annotations

from pathlib import Path

from vireid.deploy.manifest import Manifest
from vireid.deploy.run import dimension_of, model_fingerprint
from vireid.evaluation.records import EvaluationRecord, read_evaluation, select
from vireid.files import atomic_path
from vireid.models.backbone import describe
from vireid.training.checkpoint import Run, load_run
from vireid.types import FeatureKind

_USE = """## Intended use

Research on visible-infrared person re-identification: ranking a gallery of person crops by similarity to a query crop.
A person looks at the ranking and decides; the score is a similarity, not a probability that two people are the same.

## Ethics

Searching for people is an intrusion. Use it only with a lawful basis, for a stated purpose, on images that you may
process, with access limited and logged and with the images deleted when the purpose is gone. Do not use it for covert
surveillance, for decisions about people without a person who answers for them, or to infer identity, origin, health or
character. Error rates may differ between groups of people; they were not measured by group."""


def write_card(folder: Path) -> Path:
    """Write ``README.md`` into a run folder, with the numbers of every evaluation that lies in it.

    Raises:
        VireidError: not a finished run, unreadable results, a folder that cannot be written.
    """
    path = folder / "README.md"
    with atomic_path(path) as work:
        work.write_text(card_text(load_run(folder)))
    return path


def card_text(run: Run, export: Manifest | None = None) -> str:
    """Return the card of a run, or of an export of it, as markdown."""
    files = sorted((run.folder / "evaluation").glob("*/results.json"))
    numbers = [_numbers(read_evaluation(file)) for file in files]
    parts = [
        f"# {run.folder.resolve().name}",
        "Visible and infrared person crops to features of one space, made with vireid "
        f"{run.info['versions']['vireid']}, recipe {run.recipe.name}.",
        "## Data\n\n" + _data(run),
        "## Numbers\n\n" + ("\n\n".join(numbers) or "Not evaluated yet."),
        "## Limits\n\n" + _limits(run),
        _USE,
        "## Model\n\n" + _model(run, export),
    ]
    return "\n\n".join(parts) + "\n"


def _data(run: Run) -> str:
    info, made = run.info, run.info["synthetic"]
    images, people = info["training_images"], info["classes"]
    text = f"Trained on {images} images of {people} identities, {info['layout']} layout."
    if made:
        how = f"difficulty {made.get('difficulty')}, seed {made.get('seed')}"
        text += f" The people are rendered, not photographed ({how})."
    return text


def _limits(run: Run) -> str:
    lines = ["Crops of one standing or walking person; other crops give features without meaning."]
    if run.info["synthetic"]:
        lines.append(
            "It saw rendered people only. Its numbers say nothing about photographs of real people, and it is not fit "
            "for use on them."
        )
    else:
        lines.append("Cameras, places, seasons and people unlike those of the training set give other numbers.")
    return "\n".join(f"- {line}" for line in lines)


def _numbers(record: EvaluationRecord) -> str:
    """The plain lines of one evaluation: cosine, after the BNNeck, no flip, both directions."""
    rows = []
    for line in select(record.results, method="cosine", feature=FeatureKind.AFTER_BNNECK, flip=False):
        if line.search != "mixed":
            values = " | ".join(_percent(line.mean, name) for name in ("rank1", "map", "minp"))
            rows.append(f"| {line.name} | {line.trials} | {values} | {_percent(line.chance, 'rank1')} |")
    runs, rule = len(record.runs), record.results[0].checkpoint_rule if rows else "unknown"
    name = f"{record.data.name}{f', mean over {runs} runs' if runs > 1 else ''}"
    head = f"On {name}; percent, cosine ranking, checkpoint: {rule}."
    table = "| setting | trials | rank-1 | mAP | mINP | rank-1 by chance |\n|---|---|---|---|---|---|"
    return "\n".join([head, "", table, *rows])


def _percent(numbers: dict[str, float], name: str) -> str:
    return f"{100 * numbers[name]:.1f}" if name in numbers else "?"


def _model(run: Run, export: Manifest | None) -> str:
    config, weights = run.recipe.model, sum(p.numel() for p in run.network.parameters())
    lines = [
        f"- {describe(config)}, {config.branches} branches, "
        f"DFW after {', '.join(config.weakening.after) or 'no stage'}, {weights / 1e6:.2f} M parameters",
        f"- input {run.recipe.data.height} x {run.recipe.data.width} RGB, feature of {dimension_of(run)} numbers",
        f"- fingerprint {model_fingerprint(run)}",
    ]
    if export is None:
        return "\n".join([*lines, "- format: safetensors, run by PyTorch; `vireid export` makes ONNX of it"])
    lines.append(f"- format: ONNX, {export.precision}, one file per modality")
    for name, graph in export.graphs.items():
        kept = f"; in float: {', '.join(graph.float_blocks)}" if graph.float_blocks else ""
        lines.append(
            f"- {name}: cosine to PyTorch float32 on {graph.images} test images: lowest {graph.lowest:.5f}, "
            f"mean {graph.mean:.5f}{kept}"
        )
    return "\n".join(lines)
