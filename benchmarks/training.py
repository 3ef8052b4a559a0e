"""Images per second of training and embedding, baseline and full model, at 288 x 144, and the RegDB schedule's time.

    python benchmarks/training.py                       on the GPU if there is one: bf16, with and without torch.compile
    python benchmarks/training.py --steps 2 --no-compile

Prints a markdown table. The paper's GPU took 45 minutes for the baseline's RegDB schedule and 58 for the full model's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from vireid.build import build_methods, build_objective
from vireid.config import Recipe
from vireid.data.augment import Augment, normalise
from vireid.models.network import TwoStreamNetwork
from vireid.recipes import load_recipe
from vireid.training.device import autocast, default_device, describe, resolve_precision
from vireid.training.schedule import make_optimizer

REGDB_IMAGES = 60 * 64 * 64
"""60 epochs of 64 batches of 64 images."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--steps", type=int, default=30, help="batches of 64 images that are timed, after a third as many"
    )
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    options = parser.parse_args()
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


def jobs(recipe: Recipe, device: torch.device, precision: str, compiled: bool) -> tuple[Callable[[], None], ...]:
    """A batch of training, with augmentation and update, and a batch of embedding."""
    data = recipe.data
    methods = build_methods(recipe.model)
    network = TwoStreamNetwork(recipe.model, 206, methods).to(device)
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
