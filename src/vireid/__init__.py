"""Visible-infrared person re-identification: find the same person across day and night cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.config import Recipe
    from vireid.data import CrossModalitySampler, open_dataset, render
    from vireid.losses import HeteroCenterTriplet, OverlapPenalty
    from vireid.models import DynamicFeatureWeakening
    from vireid.recipes import load_recipe, shipped_recipes
    from vireid.retrieval import Neighbours, Ranking, nearest, rerank
    from vireid.training import Run, load_run, train
    from vireid.types import Dataset, Features, Modality, Sample, VireidError

__version__ = "0.1.0"
__all__ = [
    "CrossModalitySampler",
    "Dataset",
    "DynamicFeatureWeakening",
    "Features",
    "HeteroCenterTriplet",
    "Modality",
    "Neighbours",
    "OverlapPenalty",
    "Ranking",
    "Recipe",
    "Run",
    "Sample",
    "VireidError",
    "load_recipe",
    "load_run",
    "nearest",
    "open_dataset",
    "render",
    "rerank",
    "shipped_recipes",
    "train",
]

_HOMES = {
    "CrossModalitySampler": "data",
    "Dataset": "types",
    "DynamicFeatureWeakening": "models",
    "Features": "types",
    "Modality": "types",
    "Neighbours": "retrieval",
    "Ranking": "retrieval",
    "Recipe": "config",
    "Sample": "types",
    "VireidError": "types",
    "load_recipe": "recipes",
    "nearest": "retrieval",
    "open_dataset": "data",
    "render": "data",
    "rerank": "retrieval",
    "shipped_recipes": "recipes",
    "HeteroCenterTriplet": "losses",
    "OverlapPenalty": "losses",
    "Run": "training",
    "load_run": "training",
    "train": "training",
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
