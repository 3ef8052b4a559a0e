"""An exported folder as an `Embedder`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from vireid.deploy.embedder import Embedder, Vectors, averaged, check_images
from vireid.deploy.graph import FEATURE, RESPONSE
from vireid.deploy.manifest import MANIFEST, read_graph, read_manifest
from vireid.deploy.session import ENGINE, features_of, open_session
from vireid.images import Pixels
from vireid.types import FeatureKind, Modality, VireidError


class OnnxEmbedder(Embedder):
    """An exported folder in ONNX Runtime.

    Raises:
        VireidError: files that are not the exported ones, onnxruntime not installed.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        manifest = read_manifest(folder)
        self.name, self.fingerprint, self.dimension = manifest.name, manifest.fingerprint, manifest.dimension
        self.height, self.width, self.resampling = manifest.height, manifest.width, manifest.resampling
        self.source, self.home = str(folder.resolve()), folder
        self.precision, self.device = manifest.precision, ENGINE
        self.info = {"data": None, "recipe": {"name": manifest.recipe}} | asdict(manifest.trained_on)
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

    def features(self, images: Pixels, modality: Modality, *, flip: bool = False) -> dict[FeatureKind, Vectors]:
        """See `Embedder.features`."""
        return {FeatureKind.AFTER_BNNECK: averaged(lambda some: self._run(some, modality, FEATURE), images, flip)}

    def response(self, images: Pixels, modality: Modality) -> Vectors:
        """See `Embedder.response`."""
        return self._run(images, modality, RESPONSE)

    def _run(self, images: Pixels, modality: Modality, output: str) -> Vectors:
        check_images(images, self.height, self.width)
        if not len(images):
            like = np.zeros((1, self.height, self.width, 3), np.uint8)
            return self._run(like, modality, output)[:0]
        return features_of(self._sessions[modality], images, output)
