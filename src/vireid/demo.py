"""The whole pipeline on a rendered set: from nothing to a trained and evaluated model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vireid.data.layouts import open_dataset, synthetic_record
from vireid.recipes import load_recipe
from vireid.report.evaluation import write_evaluation
from vireid.runs.evaluation import Evaluation, evaluate
from vireid.synthetic.settings import synthetic_set
from vireid.synthetic.tree import write_tree
from vireid.training.run import train
from vireid.types import VireidError

Bars = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class DemoSize:
    """What the demo renders; the defaults fit two processor cores and six minutes."""

    identities: int = 448
    test_identities: int = 48
    images: int = 2
    difficulty: float = 0.0
    seed: int = 0


def run_demo(
    out: Path, bars: Bars, size: DemoSize | None = None, overrides: tuple[str, ...] = ()
) -> tuple[Evaluation, Path]:
    """Render a set beside ``out``, train the ``demo`` recipe into ``out``, evaluate it; return evaluation and report.

    Reuses what an earlier demo left, interrupted or finished.

    Args:
        bars: makes a progress callback from the name of a stage.
        overrides: changes to the recipe, ``field=value``.

    Raises:
        VireidError: ``out`` holds another run, or cannot be written.
    """
    size = size or DemoSize()
    recipe = load_recipe("demo", overrides)
    data = out.with_name(f"{out.name}-data")
    wanted = synthetic_set(
        "sysu",
        size.identities,
        test_identities=size.test_identities,
        images=size.images,
        seed=size.seed,
        difficulty=size.difficulty,
        height=recipe.data.height,
        width=recipe.data.width,
    )
    made = synthetic_record(data)
    if made is None:
        write_tree(data, wanted, bars("images rendered"))
    elif made != wanted.record():
        raise VireidError(f"{data}: rendered with other settings or by another version; delete it and {out}")
    train(recipe, open_dataset(data), out, resume=True, progress=bars("images decoded"))
    evaluation = evaluate([out], data, progress=bars("images embedded"))
    return evaluation, write_evaluation(evaluation, out)[1]
