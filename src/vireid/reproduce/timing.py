"""Timing of training batches on this machine."""

from __future__ import annotations

import time

import torch

from vireid.build import build_methods, build_objective
from vireid.config import Recipe
from vireid.models.network import TwoStreamNetwork
from vireid.training.device import autocast, default_device, resolve_precision

_PEOPLE = 4


def seconds_per_step(recipe: Recipe, steps: int = 2) -> float:
    """Time a few batches of the recipe with random pixels and untrained weights; rough, but takes only seconds.

    On a CPU at most four identities are used, and the time is scaled to the batch.
    """
    device, data = default_device(), recipe.data
    people = data.identities if device.type == "cuda" else min(data.identities, _PEOPLE)
    rows = people * data.images
    classes, methods = max(2, people), build_methods(recipe.model)
    network = TwoStreamNetwork(recipe.model, classes, methods, size=data.size).train()
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = build_objective(recipe, classes, methods)
    labels = torch.arange(people, device=device).repeat_interleave(data.images).repeat(2)
    modalities = torch.tensor([0, 1], device=device).repeat_interleave(rows)
    images = torch.rand(rows, 3, data.height, data.width, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    precision = resolve_precision(recipe.training.precision, device)

    def step() -> None:
        network.zero_grad()
        with autocast(device, precision):
            output = network(images, images)
        objective(output, labels, modalities)["total"].backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()  # the first step sets up what later ones reuse
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps * data.identities / people * images_shown(recipe)


def images_shown(recipe: Recipe) -> float:
    """Return how many images a batch holds for each of a 2PK batch's: with ``data.joint`` visible ones come twice."""
    return (1.5 if recipe.data.joint else 1.0) * (0.5 if recipe.data.sampling == "either" else 1.0)
