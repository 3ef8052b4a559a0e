"""A run small enough for tests: ResNet-18 of eighth width on 48 x 24 noise."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.trees import write_folder
from vireid.config import Recipe
from vireid.data.layouts import open_dataset
from vireid.recipes import load_recipe
from vireid.training.run import train
from vireid.types import Dataset

OVERRIDES = (
    "model.weights=none",
    "model.backbone=resnet18",
    "model.base_width=8",
    "data.height=48",
    "data.width=32",
    "data.identities=2",
    "data.images=2",
    "data.pad=2",
    "schedule.epochs=3",
    "schedule.warmup=1",
    "schedule.milestones=[2]",
    "schedule.lr=0.01",
    "training.precision=fp32",
)


def tiny_recipe(*overrides: str) -> Recipe:
    return load_recipe("regdb-dfw", (*OVERRIDES, *overrides))


def tiny_dataset(root: Path, identities: int = 6) -> Dataset:
    return open_dataset(write_folder(root, [f"p{i}" for i in range(identities)], images=3, size=(48, 32)))


def tiny_run(folder: Path, *overrides: str, out: str = "run", resume: bool = False) -> Path:
    """Train on a folder set below ``folder`` (made at the first call) and return the run's folder."""
    root = folder / "set"
    dataset = open_dataset(root) if root.exists() else tiny_dataset(root)
    recipe = tiny_recipe(*overrides)
    device = torch.device("cpu")
    return train(recipe, dataset, folder / out, resume=resume, device=device, cache=folder / "cache")
