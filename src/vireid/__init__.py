"""Visible-infrared person re-identification: find the same person across day and night cameras."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vireid.models.weakening import DynamicFeatureWeakening
    from vireid.types import Dataset, Features, Modality, Sample, VireidError

__version__ = "0.1.0"
__all__ = ["Dataset", "DynamicFeatureWeakening", "Features", "Modality", "Sample", "VireidError"]


def __getattr__(name: str) -> Any:
    """Import a public name, and PyTorch with it, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "vireid.models.weakening" if name == "DynamicFeatureWeakening" else "vireid.types"
    return getattr(import_module(home), name)
