"""Using a model: evaluating it, and embedding with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.runs.evaluation import Against, Evaluation, evaluate
    from vireid.runs.features import embed, write_features

__all__ = ["Against", "Evaluation", "embed", "evaluate", "write_features"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Against": "evaluation",
        "Evaluation": "evaluation",
        "embed": "features",
        "evaluate": "evaluation",
        "write_features": "features",
    },
)
