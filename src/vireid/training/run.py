"""A training run: from a data set and a recipe to a finished run folder."""

from __future__ import annotations

import fcntl
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vireid
from vireid.build import build_methods, build_objective
from vireid.config import Recipe
from vireid.data.layouts import open_pixels, record_of
from vireid.files import atomic_path, disk_error, read_json, write_json
from vireid.models.network import build_network
from vireid.recipes import parse_recipe
from vireid.training.checkpoint import MODEL, RUN, checkpoints
from vireid.training.device import default_device, describe, resolve_precision
from vireid.training.health import health_lines, make_probe
from vireid.training.loop import Loop
from vireid.training.monitor import Monitor, read_metrics
from vireid.training.split import fingerprint, folder_names, require_modalities, split_training
from vireid.training.validation import Validation
from vireid.types import Dataset, VireidError

Progress = Callable[[int, int], None]


def train(
    recipe: Recipe,
    dataset: Dataset,
    out: Path | str,
    *,
    resume: bool = False,
    device: torch.device | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    validated: Callable[[int, float], None] | None = None,
) -> Path:
    """Train ``recipe`` on the training identities of ``dataset`` into the run folder ``out`` and return it.

    The folder gets ``run.json``, ``metrics.jsonl``, ``tensorboard/``, ``checkpoints/`` and, at the end,
    ``model.safetensors``: the last epoch, or with ``training.validation`` the epoch with the best validation mAP. Test
    images are never read.

    Args:
        resume: continue the run in ``out``; recipe and data must be the same. Without a run there, start one.
        cache: folder of the pixel cache, see `PixelStore`.
        progress: called with (images decoded, images).
        validated: called after every epoch with (batches done, validation mAP); an exception from it ends the training.

    Raises:
        VireidError: bad data or weights, a run already in ``out``, a non-finite loss, a full disk.
        KeyboardInterrupt: stopped by the user after a checkpoint of the exact batch.

    Examples:
        >>> import vireid
        >>> data = vireid.render("sysu", 24, images=1, height=64, width=32)
        >>> size = ["data.height=64", "data.width=32", "model.base_width=8"]
        >>> recipe = vireid.load_recipe("small", [*size, "schedule.epochs=1"])
        >>> vireid.train(recipe, data, "runs/tiny").as_posix()
        'runs/tiny'
    """
    out = Path(out)
    if recipe.data.kind == "synthetic" and not dataset.rendered:
        raise VireidError("data: the recipe renders its own set (data.kind=synthetic); leave --data out")
    device = device or default_device()
    setup = recipe.training
    samples, held = split_training(dataset, recipe.data.holdout, setup.validation, setup.seed)
    require_modalities(dataset, samples, recipe.loss)
    info = _describe(recipe, dataset, device) | {
        "classes": len({s.identity for s in samples}),
        "training_identities": sorted({s.identity for s in samples}),
        "validation_identities": sorted({s.identity for s in held}),
        "seen_folders": folder_names(samples + held),
        "training_images": len(samples),
    }
    info = _claim(out, info, resume)
    if (out / MODEL).is_file():
        return out
    torch.manual_seed(setup.seed)
    methods = build_methods(recipe.model)
    network = build_network(recipe.model, info["classes"], methods, size=recipe.data.size)
    objective = build_objective(recipe, info["classes"], methods)
    store = open_pixels(dataset, samples, recipe.data, cache, progress)
    validation = None
    if held:
        pixels = open_pixels(dataset, held, recipe.data, cache)
        validation = Validation(held, pixels, dataset.layout, info["precision"], validated)
    probe = make_probe(dataset, samples, setup.seed)
    loop = Loop(recipe, out, network, objective, samples, store, device, validation, probe)
    _run(loop, info)
    return out


def _run(loop: Loop, info: dict[str, Any]) -> None:
    if not (loop.out / RUN).exists():
        write_json(loop.out / RUN, info)
    try:
        with _locked(loop.out):
            loop.resume()
            _train_and_finish(loop, info)
    except OSError as error:
        raise disk_error(error, loop.out) from error


def _train_and_finish(loop: Loop, info: dict[str, Any]) -> None:
    with Monitor(loop.out, loop.step, loop.steps) as monitor:
        loop.run(monitor)
        monitor.say(health_lines(read_metrics(loop.out)))
    rule, source = "last epoch", checkpoints(loop.out)[-1] / MODEL
    if loop.validation:
        rule, source = loop.validation.best(loop.out)
    write_json(loop.out / RUN, info | {"checkpoint_rule": rule, "training_seconds": round(loop.seconds, 1)})
    with atomic_path(loop.out / MODEL) as path:
        shutil.copyfile(source, path)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep other processes out of a run folder; the lock is released when the process ends, however it ends."""
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VireidError(f"{out}: another process is training here; wait for it or choose another --out") from None
        yield


def _claim(out: Path, info: dict[str, Any], resume: bool) -> dict[str, Any]:
    """Return the content of run.json; for a run to resume, what its run.json recorded at the start."""
    if not (out / RUN).exists():
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise VireidError(f"{out}: not empty and not a run; choose another --out")
        return info
    if not resume:
        raise VireidError(f"{out}: holds a run already; add --resume to continue it or choose another --out")
    recorded = read_json(out / RUN, "a run.json that vireid train wrote")
    if isinstance(recorded.get("recipe"), dict):  # fields added since then get the defaults it ran with
        recorded["recipe"] = parse_recipe(recorded["recipe"], f"{out / RUN}: recipe").to_dict()
    for name in ("recipe", "fingerprint", "trial", "training_identities", "precision"):
        if recorded.get(name) != info[name]:
            detail = _first_difference(recorded.get(name), info[name], name)
            raise VireidError(
                f"{out}: cannot resume, {detail}; resume with the same recipe and data, or use another --out"
            )
    return recorded


def _first_difference(old: Any, new: Any, name: str) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in new:
            if old.get(key) != new[key]:
                return _first_difference(old.get(key), new[key], f"{name}.{key}")
    return f"{name} was {str(old)[:60]} and is now {str(new)[:60]}"


def _describe(recipe: Recipe, dataset: Dataset, device: torch.device) -> dict[str, Any]:
    return {
        "recipe": recipe.to_dict(),
        "seed": recipe.training.seed,
        "data": None if dataset.rendered else str(dataset.source.resolve()),
        "layout": dataset.layout,
        "trial": dataset.trial,
        "fingerprint": fingerprint(dataset),
        "synthetic": record_of(dataset),
        "device": describe(device),
        "precision": resolve_precision(recipe.training.precision, device),
        "versions": {
            "vireid": vireid.__version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        "git": git_revision(),
    }


def git_revision() -> str | None:
    """Revision of the checkout vireid runs from, with a mark when it has local changes; None when installed."""
    here = Path(__file__).parent
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
        return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
