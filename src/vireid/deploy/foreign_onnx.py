"""ONNX graphs from elsewhere as an `Embedder`, hostile until checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vireid.deploy.foreign import ForeignEmbedder, fingerprint_of
from vireid.deploy.input_card import GraphCard
from vireid.deploy.session import ENGINE, open_session
from vireid.images import Pixels
from vireid.types import Modality, VireidError

if TYPE_CHECKING:
    import onnxruntime

MAX_GRAPH = 2**31
"""Largest graph in bytes, the format's own limit."""
MAX_TENSORS = 2**34
"""Largest file of tensors beside a graph, in bytes."""

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


@dataclass(frozen=True)
class _Way:
    """How one modality goes through its graph; ``batch`` is the number of images where the graph fixes it."""

    session: onnxruntime.InferenceSession
    input: str
    other: str | None
    output: str
    dtype: Any
    batch: int | None


class GraphEmbedder(ForeignEmbedder):
    """ONNX graphs with a card, in ONNX Runtime.

    Args:
        files: the graph of each modality, perhaps the same; what they read has to lie beside them.
        source: what was opened, the graph or the folder of the card.

    Raises:
        VireidError: a file that is no graph, is too large, or reads what lies outside the folder; inputs and outputs
            that are not as the card says; onnxruntime or onnx not installed.
    """

    device = ENGINE

    def __init__(
        self, files: Mapping[Modality, Path], card: GraphCard, *, home: Path, source: Path, threads: int | None = None
    ) -> None:
        super().__init__(card, source.resolve().name.removesuffix(".onnx"), home, str(source.resolve()))
        self._card = card
        contents = {file: _read_graph(file) for file in files.values()}
        parts = [part for file, content in contents.items() for part in (content, *_tensor_digests(file, content))]
        self.fingerprint = fingerprint_of(card, *parts)
        sessions = {file: _open(file, content, threads) for file, content in contents.items()}
        self._ways = {
            modality: _way(sessions[file], file, card, modality, shared=len(sessions) == 1)
            for modality, file in files.items()
        }
        self._probe()

    def _run(self, images: Pixels, modality: Modality) -> npt.NDArray[Any]:
        way = self._ways[modality]
        size = way.batch or len(images)
        parts = []
        for start in range(0, len(images), size):
            some = images[start : start + size]
            full = np.concatenate([some, np.zeros((size - len(some), *images.shape[1:]), np.uint8)])
            parts.append(self._pass(way, full, modality)[: len(some)])
        return np.concatenate(parts)

    def _pass(self, way: _Way, images: Pixels, modality: Modality) -> npt.NDArray[Any]:
        feeds = {way.input: self._input(images, way.dtype)}
        if way.other:
            feeds[way.other] = self._input(np.zeros_like(images), way.dtype)
        rows: npt.NDArray[Any] = way.session.run([way.output], feeds)[0]
        if way.other and len(rows) == 2 * len(images):  # both inputs' rows, visible first
            rows = rows[len(images) :] if modality is Modality.INFRARED else rows[: len(images)]
        return rows

    def _input(self, images: Pixels, dtype: Any) -> npt.NDArray[Any]:
        """Return what the graph takes of uint8 RGB images (n, h, w, 3)."""
        card = self._card
        values: npt.NDArray[Any] = images[..., ::-1] if card.channels == "bgr" else images
        if dtype != np.uint8:
            mean, std = np.array(card.mean or (0, 0, 0), np.float32), np.array(card.std or (1, 1, 1), np.float32)
            values = (values.astype(np.float32) * np.float32(card.scale or 1 / 255) - mean) / std
        values = values.transpose(0, 3, 1, 2) if card.layout == "nchw" else values
        return np.ascontiguousarray(values, dtype)


def _read_graph(file: Path) -> bytes:
    try:
        if not file.is_file() or file.stat().st_size > MAX_GRAPH:
            raise VireidError(f"{file}: expected an ONNX graph, a file of at most {MAX_GRAPH} bytes")
        return file.read_bytes()
    except OSError as error:
        raise VireidError(f"{file}: {error.strerror}; expected an ONNX graph") from None


def _open(file: Path, content: bytes, threads: int | None) -> onnxruntime.InferenceSession:
    try:
        return open_session(content, threads, file.parent)
    except VireidError as error:
        raise (error if "not installed" in str(error) else VireidError(f"{file}: {error}")) from None


def _tensor_digests(file: Path, content: bytes) -> Iterator[bytes]:
    """Yield the digest of every file that a graph keeps tensors in.

    Raises:
        VireidError: no graph, or a file that is not beside it, missing, or too large.
    """
    try:
        import onnx
    except ImportError:
        raise VireidError("onnx is not installed: install it with pip install 'vireid[onnx]'") from None
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # of the parser, which has several
        raise VireidError(f"{file}: not a graph ({' '.join(str(error).split())[:120]})") from None
    for name in sorted({entry.value for entry in _locations(model)}):
        tensors, folder = file.parent / name.replace("\0", ""), file.parent.resolve()
        if "\0" in name or not tensors.resolve().is_relative_to(folder):
            raise VireidError(f"{file}: keeps tensors in {name!r}, outside its folder; put all files side by side")
        if not tensors.is_file() or tensors.stat().st_size > MAX_TENSORS:
            raise VireidError(f"{tensors}: expected the tensors of {file.name}, a file of at most {MAX_TENSORS} bytes")
        state = hashlib.sha256()
        with tensors.open("rb") as opened:
            while block := opened.read(2**20):
                state.update(block)
        yield state.digest()


def _locations(message: Any) -> Iterator[Any]:
    """Yield the entries of a graph, its functions and inner graphs that name a file of tensors."""
    from onnx import TensorProto

    if isinstance(message, TensorProto):
        if message.data_location == TensorProto.EXTERNAL:
            yield from (entry for entry in message.external_data if entry.key == "location")
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in (value,) if hasattr(value, "ListFields") else value:
                yield from _locations(one)


def _way(session: onnxruntime.InferenceSession, file: Path, card: GraphCard, modality: Modality, shared: bool) -> _Way:
    """Match the card with the graph.

    Args:
        shared: the graph is that of both modalities.
    """
    inputs = {one.name: one for one in session.get_inputs()}
    name = _named("input", card.input, list(inputs), file, modality)
    both = shared and isinstance(card.input, dict) and len(set(card.input.values())) == 2
    other = _named("input", card.input, list(inputs), file, modality.other) if both else None
    if unfed := inputs.keys() - {name, other}:
        raise VireidError(
            f"{file}: also takes {', '.join(sorted(unfed))}; expected images of one or of both modalities"
        )
    dtype = _input_type(inputs[name], card, file)
    output = _named("output", card.output, [one.name for one in session.get_outputs()], file, modality)
    first = inputs[name].shape[0]
    return _Way(session, name, other, output, dtype, first if isinstance(first, int) else None)


def _named(what: str, wanted: str | dict[str, str] | None, there: list[str], file: Path, modality: Modality) -> str:
    """Return the name of an input or output, by the card or because there is no other."""
    name = wanted[str(modality)] if isinstance(wanted, dict) else wanted
    if name is None and len(there) == 1:
        return there[0]
    if name not in there:
        said = f"has no {what} {name}" if name else f"has {len(there)} {what}s"
        raise VireidError(f"{file}: {said}; expected one of {', '.join(there)} as {what} in the card")
    return name


def _input_type(node: onnxruntime.NodeArg, card: GraphCard, file: Path) -> Any:
    """Return the type of an input, which has to be of the card's size and to be normalised where it is not uint8."""
    size = (3, card.height, card.width) if card.layout == "nchw" else (card.height, card.width, 3)
    sizes = zip(node.shape[1:], size, strict=False)
    if len(node.shape) != 4 or any(isinstance(its, int) and its != ours for its, ours in sizes):
        raise VireidError(
            f"{file}: input {node.name} of shape {node.shape}; the card says {('n', *size)} (height, width, layout)"
        )
    if node.type not in _TYPES:
        raise VireidError(f"{file}: input {node.name} is {node.type}; expected one of {', '.join(_TYPES)}")
    if card.normalises == (node.type == "tensor(uint8)"):
        said = "leave scale, mean and std out" if card.normalises else "give scale, or mean and std"
        raise VireidError(f"{file}: input {node.name} is {node.type}; {said} in the card")
    return _TYPES[node.type]
