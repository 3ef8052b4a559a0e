"""A run folder or an exported folder as an `Embedder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vireid.deploy.embedder import Embedder, Vectors, check_images
from vireid.deploy.graph import FEATURE, RESPONSE
from vireid.deploy.manifest import MANIFEST, read_graph, read_manifest
from vireid.deploy.run import RunEmbedder
from vireid.deploy.session import features_of, open_session
from vireid.images import Pixels
from vireid.training.checkpoint import RUN, load_run
from vireid.training.device import default_device
from vireid.types import Modality, VireidError


def load_embedder(path: Path, threads: int | None = None) -> Embedder:
    """Open a run folder (PyTorch, on the GPU if there is one) or an exported folder (ONNX Runtime).

    Args:
        threads: processor threads, by default the usable cores; of PyTorch this sets the whole process.

    Raises:
        VireidError: neither of the two, an unfinished run, an export that was changed, onnxruntime not installed.
    """
    if (path / MANIFEST).is_file():
        return OnnxEmbedder(path, threads)
    if (path / RUN).is_file():
        if threads:
            torch.set_num_threads(threads)
        return RunEmbedder(load_run(path, default_device()))
    what = "no such folder" if not path.is_dir() else f"neither {RUN} nor {MANIFEST} in it"
    raise VireidError(f"{path}: {what}; expected a run of vireid train or a folder of vireid export")


def trained_on(path: Path) -> dict[str, Any]:
    """What `vireid.training.split.unseen` needs to know of a run, from its folder or an exported one.

    Raises:
        VireidError: neither of the two.
    """
    if (path / MANIFEST).is_file():
        return {"data": None} | read_manifest(path).trained_on
    return load_run(path).info


class OnnxEmbedder:
    """An exported folder in ONNX Runtime.

    Raises:
        VireidError: files that are not the exported ones, onnxruntime not installed.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        manifest = read_manifest(folder)
        self.name, self.fingerprint, self.dimension = manifest.name, manifest.fingerprint, manifest.dimension
        self.height, self.width = manifest.height, manifest.width
        self.resampling: str = manifest.resampling
        self._sessions = {}
        for modality in Modality:
            graph = manifest.graphs[modality.name.lower()]  # type: ignore[index]
            try:
                session = open_session(read_graph(folder, graph), threads, folder)
            except VireidError as error:
                known = str(error).startswith(str(folder)) or "not installed" in str(error)
                raise (error if known else VireidError(f"{folder / graph.file}: {error}")) from None
            if session.get_modelmeta().custom_metadata_map != manifest.notes(str(modality)):
                raise VireidError(f"{folder / graph.file}: other metadata than {MANIFEST}; export the run again")
            self._sessions[modality] = session

    def embed(self, images: Pixels, modality: Modality) -> Vectors:
        """See `Embedder.embed`."""
        return self._run(images, modality, FEATURE)

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        """See `Embedder.response`."""
        return self._run(images, modality, RESPONSE)

    def _run(self, images: Pixels, modality: Modality, output: str) -> Vectors:
        check_images(images, self.height, self.width)
        if not len(images):
            like = np.zeros((1, self.height, self.width, 3), np.uint8)
            return self._run(like, modality, output)[:0]
        return features_of(self._sessions[modality], images, output)
