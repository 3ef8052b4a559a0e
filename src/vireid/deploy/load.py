"""Any model as an `Embedder`."""

from __future__ import annotations

from pathlib import Path

import torch

from vireid.deploy.embedder import Embedder
from vireid.deploy.exported import OnnxEmbedder
from vireid.deploy.manifest import MANIFEST
from vireid.deploy.run import RunEmbedder
from vireid.training.checkpoint import RUN, load_run
from vireid.training.device import default_device
from vireid.types import VireidError

Source = Embedder | Path | str
"""What `load_model` takes."""


def load_model(model: Source, *, threads: int | None = None, device: torch.device | None = None) -> Embedder:
    """Open a run folder (PyTorch, on the GPU if there is one) or an exported folder (ONNX Runtime).

    Args:
        model: the folder; an `Embedder` is returned as it is.
        threads: processor threads, by default the usable cores; of PyTorch this sets the whole process.
        device: where a run's network computes.

    Raises:
        VireidError: neither of the two, an unfinished run, an export that was changed, onnxruntime not installed.
    """
    if isinstance(model, Embedder):
        return model
    path = Path(model)
    if (path / MANIFEST).is_file():
        return OnnxEmbedder(path, threads)
    if (path / RUN).is_file():
        if threads:
            torch.set_num_threads(threads)
        return RunEmbedder(load_run(path, device or default_device()))
    what = "no such folder" if not path.is_dir() else f"neither {RUN} nor {MANIFEST} in it"
    raise VireidError(f"{path}: {what}; expected a run of vireid train or a folder of vireid export")
