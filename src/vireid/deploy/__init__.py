"""Models ready for use: runs, their exports (ONNX, int8) and models from elsewhere, behind one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.deploy.embedder import Embedder
    from vireid.deploy.export import export_run
    from vireid.deploy.input_card import GraphCard, InputCard
    from vireid.deploy.load import load_model
    from vireid.deploy.manifest import Manifest

__all__ = ["Embedder", "GraphCard", "InputCard", "Manifest", "export_run", "load_model"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Embedder": "embedder",
        "GraphCard": "input_card",
        "InputCard": "input_card",
        "Manifest": "manifest",
        "export_run": "export",
        "load_model": "load",
    },
)
