"""``export.json``: the content of an exported folder, and the checks it must pass before a graph is opened."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vireid.files import read_json
from vireid.types import VireidError

MANIFEST = "export.json"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, config=_STRICT)
class Graph:
    """One modality's file and how far its features are from PyTorch's in float32.

    ``images``: test images that were compared; ``lowest`` and ``mean``: of their cosines; ``float_blocks``: what an
    int8 graph keeps in float.
    """

    file: Annotated[str, Field(pattern=r"^[a-z0-9]+\.onnx$")]
    sha256: _Digest
    images: int
    lowest: float
    mean: float
    float_blocks: tuple[str, ...] = ()


@dataclass(frozen=True, config=_STRICT)
class TrainedOn:
    """What an export keeps of run.json, by the names there: who may be in a test, and what a report states."""

    layout: str
    trial: int | None
    fingerprint: str
    seen_folders: tuple[str, ...]
    seed: int | None = None
    checkpoint_rule: str = "unknown"
    classes: int | None = None
    training_images: int | None = None
    synthetic: dict[str, Any] | None = None
    git: str | None = None
    versions: dict[str, str] | None = None


@dataclass(frozen=True, config=_STRICT)
class Manifest:
    """An exported model."""

    vireid: str
    format: Literal["onnx"]
    precision: Literal["float32", "int8"]
    name: str
    recipe: str
    fingerprint: _Digest
    dimension: Annotated[int, Field(ge=1, le=65536)]
    height: Annotated[int, Field(ge=32, le=2048)]
    width: Annotated[int, Field(ge=32, le=2048)]
    graphs: dict[Literal["visible", "infrared"], Graph]
    trained_on: TrainedOn
    resampling: Literal["bilinear", "lanczos"] = "bilinear"

    def notes(self, modality: str) -> dict[str, str]:
        """Return the metadata stored in the graph of a modality."""
        fields = ("vireid", "name", "recipe", "precision", "fingerprint", "dimension", "height", "width")
        resize = f"Pillow {self.resampling} to height x width, aspect not kept"
        return {f: str(getattr(self, f)) for f in fields} | {"modality": modality, "resize": resize}


_MANIFEST = TypeAdapter(Manifest)


def to_json(manifest: Manifest) -> dict[str, Any]:
    """Return plain JSON types."""
    return _MANIFEST.dump_python(manifest, mode="json")  # type: ignore[no-any-return]


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``export.json``.

    Raises:
        VireidError: missing, not JSON, or fields that vireid export does not write.
    """
    content = read_json(folder / MANIFEST, "an export.json that vireid export wrote")
    try:
        manifest = _MANIFEST.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise VireidError(f"{folder / MANIFEST}: {name}: {first['msg'].lower()}; export the run again") from None
    if set(manifest.graphs) != {"visible", "infrared"}:
        raise VireidError(f"{folder / MANIFEST}: graphs: expected visible and infrared; export the run again")
    return manifest


def read_graph(folder: Path, graph: Graph) -> bytes:
    """Return a graph's bytes where they are those that were exported.

    Raises:
        VireidError: missing, or another checksum than the recorded one.
    """
    path = folder / graph.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VireidError(f"{path}: {error.strerror}; export the run again") from None
    if hashlib.sha256(content).hexdigest() != graph.sha256:
        raise VireidError(f"{path}: other bytes than those exported (SHA-256 differs); export the run again")
    return content
