"""ONNX Runtime sessions of exported graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vireid.deploy.embedder import Vectors
from vireid.deploy.graph import FEATURE, INPUT
from vireid.images import Pixels
from vireid.training.features import BATCH
from vireid.types import VireidError

if TYPE_CHECKING:
    import onnxruntime

ENGINE = "ONNX Runtime, CPU"


def open_session(
    content: bytes, threads: int | None = None, folder: Path | None = None
) -> onnxruntime.InferenceSession:
    """Return a session on the CPU for a graph's bytes, with ``threads`` threads (default: the usable cores).

    ``folder`` is where the graph lies; it cannot read files elsewhere.

    Raises:
        VireidError: onnxruntime is not installed; not a graph that it can run. The message names no file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise VireidError("onnxruntime is not installed: install it with pip install 'vireid[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leaves the cores to others
    if folder:  # tensors outside the graph are read from there and from nowhere else
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.resolve()))
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise VireidError(f"not a graph that onnxruntime runs ({' '.join(str(error).split())[:120]})") from None


def features_of(session: onnxruntime.InferenceSession, images: Pixels, output: str = FEATURE) -> Vectors:
    """Run a graph over images (n, h, w, 3), a few at a time, and return one of its outputs, n rows."""
    starts = range(0, len(images), BATCH)
    return np.concatenate([session.run([output], {INPUT: images[i : i + BATCH]})[0] for i in starts])
