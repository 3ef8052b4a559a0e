"""Visible-infrared person re-identification: find the same person across day and night cameras.

The names come from the subpackages and are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.config import Recipe
    from vireid.data import CrossModalitySampler, open_dataset, render
    from vireid.deploy import Embedder, export_run, load_model
    from vireid.evaluation import Result, compare, score
    from vireid.gallery import Gallery, open_gallery, search
    from vireid.ingest import add_images
    from vireid.losses import HeteroCenterTriplet, OverlapPenalty
    from vireid.models import DynamicFeatureWeakening, build_network
    from vireid.recipes import load_recipe, shipped_recipes
    from vireid.retrieval import Neighbours, Ranking, nearest, rerank
    from vireid.runs import Evaluation, embed, evaluate
    from vireid.training import Run, load_run, train
    from vireid.types import Dataset, Features, Modality, Sample, VireidError

__version__ = "0.1.0"
__all__ = [
    "CrossModalitySampler",
    "Dataset",
    "DynamicFeatureWeakening",
    "Embedder",
    "Evaluation",
    "Features",
    "Gallery",
    "HeteroCenterTriplet",
    "Modality",
    "Neighbours",
    "OverlapPenalty",
    "Ranking",
    "Recipe",
    "Result",
    "Run",
    "Sample",
    "VireidError",
    "add_images",
    "build_network",
    "compare",
    "embed",
    "evaluate",
    "export_run",
    "load_model",
    "load_recipe",
    "load_run",
    "nearest",
    "open_dataset",
    "open_gallery",
    "render",
    "rerank",
    "score",
    "search",
    "shipped_recipes",
    "train",
]

_HOMES = {
    "Dataset": "types",
    "Features": "types",
    "Modality": "types",
    "Sample": "types",
    "VireidError": "types",
    "CrossModalitySampler": "data",
    "open_dataset": "data",
    "render": "data",
    "Recipe": "config",
    "load_recipe": "recipes",
    "shipped_recipes": "recipes",
    "DynamicFeatureWeakening": "models",
    "build_network": "models",
    "HeteroCenterTriplet": "losses",
    "OverlapPenalty": "losses",
    "Run": "training",
    "load_run": "training",
    "train": "training",
    "Embedder": "deploy",
    "export_run": "deploy",
    "load_model": "deploy",
    "Evaluation": "runs",
    "embed": "runs",
    "evaluate": "runs",
    "Result": "evaluation",
    "compare": "evaluation",
    "score": "evaluation",
    "Neighbours": "retrieval",
    "Ranking": "retrieval",
    "nearest": "retrieval",
    "rerank": "retrieval",
    "Gallery": "gallery",
    "open_gallery": "gallery",
    "search": "gallery",
    "add_images": "ingest",
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
