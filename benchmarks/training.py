"""Images per second of training and embedding, baseline and full model, at 288 x 144, and the RegDB schedule's time.

    python benchmarks/training.py                       on the GPU if there is one: bf16, with and without torch.compile
    python benchmarks/training.py --steps 2 --no-compile
    python benchmarks/training.py --profile synvi-1     where the time of a small run at 96 x 48 goes, on a processor

Prints markdown tables. The paper's GPU took 45 minutes for the baseline's RegDB schedule and 58 for the full model's.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from vireid.build import build_methods, build_objective
from vireid.config import Recipe
from vireid.data.augment import Augment, normalise
from vireid.data.layouts import open_dataset, open_pixels
from vireid.models.network import TwoStreamNetwork, build_network
from vireid.recipes import load_recipe
from vireid.training.device import autocast, default_device, describe, resolve_precision
from vireid.training.loop import Loop
from vireid.training.monitor import Monitor
from vireid.training.schedule import make_optimizer

SMALL = ("schedule.epochs=8", "data.height=96", "data.width=48", "data.pad=4", "loss.overlap.separation=33")
REGDB_IMAGES = 60 * 64 * 64
"""60 epochs of 64 batches of 64 images."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--steps", type=int, default=30, help="batches of 64 images that are timed, after a third as many"
    )
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--profile", type=Path, metavar="DATA", help="folder of the data set to profile a small run on")
    options = parser.parse_args()
    if options.profile:
        return profile(options.profile, options.steps)
    device = default_device()
    precision = resolve_precision("auto", device)
    print(f"{describe(device)}, PyTorch {torch.__version__}, {precision}, channels_last, batches of 64 at 288 x 144\n")
    print("| network | compile | training images/s | RegDB, minutes | embedding images/s |\n|---|---|---|---|---|")
    for name in ("baseline", "regdb-dfw"):
        for compiled in (False,) if options.no_compile else (False, True):
            recipe = load_recipe(name)
            train, embed = jobs(recipe, device, precision, compiled)
            speeds = [64 / seconds(job, options.steps, device) for job in (train, embed)]
            minutes = REGDB_IMAGES / speeds[0] / 60
            row = (name, "yes" if compiled else "no", f"{speeds[0]:.1f}", f"{minutes:.1f}", f"{speeds[1]:.1f}")
            print(f"| {' | '.join(row)} |", flush=True)


def profile(data: Path, steps: int) -> None:
    """Print milliseconds a batch of each part of a run, then of each operation (those of the profiler included)."""
    recipe, dataset = load_recipe("small", SMALL), open_dataset(data)
    started = time.perf_counter()
    store = open_pixels(dataset, dataset.train, recipe.data)
    print(f"pixels opened in {time.perf_counter() - started:.1f} s")
    classes, methods = len({s.identity for s in dataset.train}), build_methods(recipe.model)
    network = build_network(recipe.model, classes, methods, size=recipe.data.size)
    objective = build_objective(recipe, classes, methods)
    spent: defaultdict[str, list[float]] = defaultdict(list)

    def timed(owner: Any, name: str, part: str) -> None:
        job = getattr(owner, name)

        def work(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = job(*args, **options)
            spent[part].append(time.perf_counter() - start)
            return result

        vars(owner)[name] = work

    with TemporaryDirectory() as folder:
        loop = Loop(recipe, Path(folder), network, objective, dataset.train, store, torch.device("cpu"))
        loop.steps = steps // 3
        with Monitor(loop.out, 0, steps) as monitor:
            loop.run(monitor)
            timed(loop, "_step", "whole batch")
            timed(store, "batch", "pixels")
            timed(loop, "augment", "augmentation")
            for stem in network.stems():
                timed(stem, "forward", "forward: stems and layer1")
            for stage in [*network.stages().values(), *network.weakening.values()]:
                timed(stage, "forward", "forward: layer2, layer3, DFW")
            for branch in network.branches:
                timed(branch, "forward", "forward: layer4, pooling, neck")
            timed(loop.objective, "forward", "losses")
            timed(loop, "_update", "backward and update")
            timed(loop.optimizer, "step", "of it the update")
            timed(monitor, "step", "log, TensorBoard, progress bar")
            loop.steps += steps
            loop.run(monitor)
            timed(loop, "_save", "checkpoint, once an epoch")
            loop._save()
        print("\n| part | ms per batch |\n|---|---|")
        for part, times in spent.items():
            calls = round(len(times) / steps) or 1  # some parts are called for each stem, stage or branch
            print(f"| {part} | {1e3 * median(sum(times[i : i + calls]) for i in range(0, len(times), calls)):.2f} |")
        loop.steps += 10
        with torch.profiler.profile() as operations, Monitor(loop.out, loop.step, loop.steps) as monitor:
            loop.run(monitor)
    print("\n| operation | calls per batch | ms per batch |\n|---|---|---|")
    for row in sorted(operations.key_averages(), key=lambda e: -e.self_cpu_time_total)[:25]:
        print(f"| {row.key} | {row.count / 10:.0f} | {row.self_cpu_time_total / 1e4:.2f} |")


def jobs(recipe: Recipe, device: torch.device, precision: str, compiled: bool) -> tuple[Callable[[], None], ...]:
    """A batch of training, with augmentation and update, and a batch of embedding."""
    data = recipe.data
    methods = build_methods(recipe.model)
    network = TwoStreamNetwork(recipe.model, 206, methods, size=data.size).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward = torch.compile(network) if compiled else network
    objective, optimizer = build_objective(recipe, 206, methods), make_optimizer(network, recipe.schedule)
    augment, generator = Augment(data.pad, data.flip, data.erase), torch.Generator(device)
    images = torch.randint(0, 256, (64, 3, data.height, data.width), dtype=torch.uint8)
    labels = torch.arange(data.identities).repeat_interleave(data.images).repeat(2).to(device)
    modalities = torch.arange(2).repeat_interleave(32).to(device)

    def train() -> None:
        network.train()
        batch = augment(images.to(device), generator)
        with autocast(device, precision):
            output = forward(batch[:32], batch[32:])
        total: Tensor = objective(output, labels, modalities)["total"]
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        total.item()

    @torch.no_grad()
    def embed() -> None:
        network.eval()
        batch = normalise(images.to(device)).contiguous(memory_format=torch.channels_last)
        with autocast(device, precision):
            forward(batch, None)

    return train, embed


def seconds(job: Callable[[], None], steps: int, device: torch.device) -> float:
    """Seconds a call takes, after a warm-up."""

    def synchronise() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(max(1, steps // 3)):
        job()
    synchronise()
    start = time.perf_counter()
    for _ in range(steps):
        job()
    synchronise()
    return (time.perf_counter() - start) / steps


if __name__ == "__main__":
    main()
