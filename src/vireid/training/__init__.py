"""Training: from a recipe and a data set to a run folder, and from a run and images to features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.training.checkpoint import Run, load_run
    from vireid.training.features import embed_batch, network_features
    from vireid.training.loop import Loop
    from vireid.training.run import train
    from vireid.training.schedule import make_optimizer

__all__ = ["Loop", "Run", "embed_batch", "load_run", "make_optimizer", "network_features", "train"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Loop": "loop",
        "Run": "checkpoint",
        "embed_batch": "features",
        "network_features": "features",
        "load_run": "checkpoint",
        "make_optimizer": "schedule",
        "train": "run",
    },
)
