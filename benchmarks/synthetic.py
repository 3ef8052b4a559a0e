"""What the synthetic benchmark is and does: pictures, attributes, proofs of no leakage, dial, speed, baselines.

    python benchmarks/synthetic.py --out docs/images                  everything but the baselines; about ten minutes
    python benchmarks/synthetic.py --only leakage dial --people 100   these parts, with fewer people
    python benchmarks/synthetic.py --only baselines --data SET --runs RUN ...
                                      SET is a rendered tree in the layout of SYSU-MM01; RUN ... are evaluated on it

Prints markdown tables and writes the figures of docs/synthetic.md (``synthetic-*.png``).
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic_figures import NAMES, attribute_figure, dial_figure, sheet_figure
from tests.reference import dial, leakage
from tests.reference.leakage import Finding, Pictures, shoot

from vireid.data.layouts import open_dataset
from vireid.evaluation import score_setting, settings_for
from vireid.evaluation.records import read_evaluation
from vireid.figures.style import write_figure
from vireid.files import read_json
from vireid.images import read_image, resize
from vireid.synthetic import Difficulty, Spectrum, sample_identity, synthetic_set, write_tree
from vireid.synthetic.attributes import describe
from vireid.types import Dataset, Features

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
NUMBERS = ("rank1", "map", "minp")
PARTS = tuple(part.name for part in fields(Difficulty))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {
        "sheet": lambda o: write_figure(o.out / "synthetic-sheet.png", sheet_figure()),
        "attributes": lambda o: attributes(o.out),
        "leakage": lambda o: leaks(o.people),
        "dial": lambda o: turn(o.people, o.out),
        "speed": lambda o: speed(),
        "baselines": lambda o: baselines(o.data, o.runs),
    }
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the figures")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts)[:-1], help="parts to run")
    parser.add_argument("--people", type=int, default=200, help="people in each probe")
    parser.add_argument("--data", type=Path, help="the tree of the baselines")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="runs that vireid evaluate has scored on it")
    options = parser.parse_args()
    if "baselines" in options.only and options.data is None:
        parser.error("baselines need --data SET")
    for name in options.only:
        parts[name](options)


def table(*header: str) -> None:
    print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


# attributes ------------------------------------------------------------------------------------------------------


def attributes(out: Path) -> None:
    labels = [describe(sample_identity(0, number)) for number in range(1, 1001)]
    write_figure(out / "synthetic-attributes.png", attribute_figure(labels))


# leakage ---------------------------------------------------------------------------------------------------------


def leaks(people: int) -> None:
    """Print, for every probe, separation and in brackets rank-1 with 95 % intervals, in per cent."""
    numbers = range(1, people + 1)
    print(
        f"\n{people} people. Chance: separation 50, rank-1 {100 / people:.2g} (learned histograms {200 / people:.2g})."
    )
    found = {NAMES[spectrum]: _backgrounds(spectrum, numbers) for spectrum in Spectrum}
    table("background", *found)
    for probe in next(iter(found.values())):
        row(probe, *(_cell(column[probe]) for column in found.values()))
    table("files", "same camera", "across cameras")
    _files(people)
    levels = (0.0, 0.1, 0.2, 0.3, 0.6, 1.0)
    table("histograms", *(f"dial {level:g}" for level in levels))
    columns = [_histograms(numbers, level) for level in levels]
    for probe in columns[0]:
        row(probe, *(_cell(column[probe]) for column in columns))


def _cell(found: Finding) -> str:
    separation = f"{100 * found.separation:.1f} ± {196 * found.separation_error:.1f}"
    return f"{separation} ({100 * found.rank1:.1f} ± {196 * found.rank1_error:.1f})"


def _backgrounds(spectrum: Spectrum, people: range) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    for name, stature in (("", None), ("; everybody 1.71 m tall", 1.71)):
        pictures = shoot(people, (1, 2, 4), 4, spectrum, stature=stature)
        found |= {f"{probe}{name}": finding for probe, finding in _asked(pictures).items()}
    bodies = (pictures.pixels * pictures.body[..., None]).reshape(len(pictures.body), -1).astype(np.float64)
    first = pictures.cameras == 1
    return found | {
        "for comparison, the person: ridge, across cameras": leakage.named_by_ridge(pictures, bodies, first)
    }


def _asked(pictures: Pictures) -> dict[str, Finding]:
    first = pictures.cameras == 1
    mine = pictures[first]
    pixels, borders = leakage.background(pictures)[0], leakage.borders(pictures)
    return {
        "nearest, same camera": leakage.nearest_background(pictures, across_cameras=False),
        "nearest, across cameras": leakage.nearest_background(pictures, across_cameras=True),
        "ridge on pixels, same camera": leakage.named_by_ridge(mine, pixels[first], mine.images <= 2),
        "ridge on pixels, across cameras": leakage.named_by_ridge(pictures, pixels, first),
        "ridge on borders, same camera": leakage.named_by_ridge(mine, borders[first], mine.images <= 2),
        "ridge on borders, across cameras": leakage.named_by_ridge(pictures, borders, first),
    }


def _files(people: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        write_tree(root, synthetic_set("sysu", people, images=2, height=144, width=72))
        dataset = open_dataset(root)
        samples = (*dataset.train, *dataset.test)
        for name, fact in leakage.file_facts(samples).items():
            row(name, *(_cell(leakage.by_fact(fact, samples, across_cameras=across)) for across in (False, True)))
    pictures = shoot(range(1, people + 1), (1, 4), 4, height=144)
    row("size of the upper corners alone", _cell(leakage.size_of_corners(pictures)), "")
    row("for comparison, size of the person alone", _cell(leakage.size_of_people(pictures)), "")


def _histograms(people: range, level: float) -> dict[str, Finding]:
    found = {}
    visible = shoot(people, (1, 4), 1, Spectrum.VISIBLE, level)
    for spectrum in (Spectrum.NEAR, Spectrum.THERMAL):
        infrared = shoot(people, (3, 6), 1, spectrum, level)
        for what, body in (("pictures", False), ("people", True)):
            name = f"{NAMES[spectrum]}, {what}"
            found[f"{name}, compared"] = leakage.compared_histograms(infrared, visible, body=body)
            found[f"{name}, learned"] = leakage.learned_histograms(infrared, visible, body=body)
    return found


# dial ------------------------------------------------------------------------------------------------------------


def turn(people: int, out: Path) -> None:
    """Print a fixed model's errors with 95 % intervals over people, and draw them."""
    models = {f"visible to {NAMES[spectrum]}": dial.learn(spectrum, people) for spectrum in Spectrum}
    even = {name: {level: dial.errors(model, level, people) for level in LEVELS} for name, model in models.items()}
    table("rank-1 error in galleries of ten, %", *(f"dial {level:g}" for level in LEVELS))
    for name, errors in even.items():
        row(name, *map(_percent, errors.values()))
    added: dict[str, dict[str, leakage.Array]] = {}
    table("points added by one part going from 0 to 1, the others at 0", *models)
    for part in PARTS:
        harder = {name: dial.errors(model, dial.alone(part, 1.0), people) for name, model in models.items()}
        added[part] = {name: errors - even[name][0.0] for name, errors in harder.items()}
        row(part, *map(_percent, added[part].values()))
    write_figure(out / "synthetic-dial.png", dial_figure(even, added))


def _percent(values: leakage.Array) -> str:
    return f"{100 * values.mean():.1f} ± {196 * values.std() / len(values) ** 0.5:.1f}"


# speed -----------------------------------------------------------------------------------------------------------


def speed() -> None:
    table("`vireid data render OUT --ids 60 --images 2`", "images", "seconds", "images/s")
    for level in (0.0, 0.3, 1.0):
        with tempfile.TemporaryDirectory() as folder:
            command = [str(Path(sys.executable).with_name("vireid")), "data", "render", f"{folder}/set"]
            start = time.perf_counter()
            options = ["--ids", "60", "--images", "2", "--difficulty", f"{level}"]
            subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds = time.perf_counter() - start
        row(f"difficulty {level:g}, {os.cpu_count()} cores", "720", f"{seconds:.1f}", f"{720 / seconds:.0f}")


# baselines -------------------------------------------------------------------------------------------------------


def baselines(data: Path, runs: list[Path]) -> None:
    """Print what needs no training, then each recipe of ``runs``, in the official settings of the tree ``data``."""
    dataset = open_dataset(data)
    settings = [setting for setting in settings_for(dataset) if setting.official]
    names = [f"{s.name.split()[1]} {number}" for s in settings for number in ("rank-1", "mAP", "mINP")]
    table("method", "seeds", *names)
    kinds = {
        "pixels compared directly": partial(_pixels, dataset),
        "grey histograms": partial(_grey_histograms, dataset),
        "attribute labels": partial(_labels, dataset, data),
    }
    for name, embed in kinds.items():
        labels = [[getattr(s, field) for s in dataset.test] for field in ("identity", "camera", "modality")]
        features = Features(torch.from_numpy(embed()), *(torch.tensor(column) for column in labels))
        results = [score_setting(features, setting) for setting in settings]
        row(name, "", *(f"{100 * result.mean[number]:.1f}" for result in results for number in NUMBERS))
    chance = [f"{100 * r.chance[n]:.1f}" if n in r.chance else "" for r in results for n in NUMBERS]
    row("chance", "", *chance)
    by_recipe: dict[str, list[dict[str, dict[str, float]]]] = {}
    for run in runs:
        recipe = read_json(run / "run.json", "a run")["recipe"]["name"]
        record = read_evaluation(run / "evaluation" / data.name / "results.json")
        by_recipe.setdefault(recipe, []).append({r.name: r.mean for r in reversed(record.results)})  # the first counts
    for recipe, seeds in by_recipe.items():
        cells = [[100 * found[s.name][number] for found in seeds] for s in settings for number in NUMBERS]
        row(recipe, str(len(seeds)), *(f"{np.mean(cell):.1f} ± {np.std(cell):.1f}" for cell in cells))


def _grey(dataset: Dataset) -> leakage.Array:
    images = [resize(read_image(sample.path), 72, 36) for sample in dataset.test]
    return np.asarray(np.stack(images) @ np.array([0.299, 0.587, 0.114]))


def _pixels(dataset: Dataset) -> leakage.Array:
    grey = _grey(dataset).reshape(len(dataset.test), -1)
    return np.asarray(grey - grey.mean(axis=1, keepdims=True))


def _grey_histograms(dataset: Dataset) -> leakage.Array:
    levels = (_grey(dataset) / 8.0).astype(np.int64).reshape(len(dataset.test), -1)
    return np.sqrt(np.stack([np.bincount(image, minlength=32) for image in levels]))


def _labels(dataset: Dataset, data: Path) -> leakage.Array:
    """One column for each value of each of the person's attributes, so that the cosine is the share of equal ones."""
    with (data / "attributes.csv").open(newline="") as file:
        rows = {line["path"]: line for line in csv.DictReader(file)}
    names = describe(sample_identity(0, 1))
    lines = [rows[sample.path.relative_to(data).as_posix()] for sample in dataset.test]
    columns = {pair: index for index, pair in enumerate(sorted({(n, line[n]) for line in lines for n in names}))}
    features = np.zeros((len(lines), len(columns)))
    for index, line in enumerate(lines):
        features[index, [columns[name, line[name]] for name in names]] = 1.0
    return features


if __name__ == "__main__":
    main()
