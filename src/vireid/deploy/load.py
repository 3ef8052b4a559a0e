"""Any model as an `Embedder`: a run, an export, an ONNX graph from elsewhere, a Python function."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vireid.deploy.embedder import Embedder
from vireid.deploy.exported import OnnxEmbedder
from vireid.deploy.foreign import Function, FunctionEmbedder
from vireid.deploy.foreign_onnx import GraphEmbedder
from vireid.deploy.input_card import CARDS, GraphCard, InputCard, parse_card, read_card
from vireid.deploy.manifest import MANIFEST
from vireid.deploy.run import RunEmbedder
from vireid.plugins import find, is_reference, known_names
from vireid.training.checkpoint import RUN, load_run
from vireid.training.device import default_device
from vireid.types import Modality, VireidError

ModelLike = Embedder | Function | Path | str
"""What `load_model` takes."""


def load_model(
    model: ModelLike,
    card: InputCard | Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
    device: torch.device | None = None,
) -> Embedder:
    """Open a model, whatever runs it.

    Args:
        model: a run folder (PyTorch, on the GPU if there is one), an exported folder (ONNX Runtime), an ``.onnx`` file
            with its card beside it (``model.onnx.json`` or ``.yaml``), a folder with a graph and ``card.json`` or
            ``.yaml``, a Python function, or the ``package.module:function`` of one. An `Embedder` is returned as it is.
        card: of a graph or a function, in the place of the one beside the file or of the function's attribute ``card``:
            a `GraphCard` or `InputCard`, or its fields.
        threads: processor threads, by default the usable cores; of PyTorch this sets the whole process.
        device: where a run's network computes.

    Raises:
        VireidError: none of these, an unfinished run, an export that was changed, a card or graph that does not fit,
            onnxruntime not installed.

    Examples:
        >>> import vireid
        >>> def shades(images, modality):  # uint8 (n, height, width, 3) to features (n, d), of any model
        ...     return images.reshape(len(images), 8, -1).mean(2)
        >>> model = vireid.load_model(shades, {"height": 64, "width": 32})
        >>> model.name, model.dimension
        ('shades', 8)
    """
    if isinstance(model, Embedder):
        return model
    if callable(model):
        return _function(model, card, "")
    path = Path(model)
    if (path / MANIFEST).is_file() or (path / RUN).is_file():
        if card is not None:
            raise VireidError(f"{path}: a run or an export has all that a card would say; leave the card out")
        return OnnxEmbedder(path, threads) if (path / MANIFEST).is_file() else _run(path, threads, device)
    if path.exists():
        return _graphs(path, card, threads)
    name = str(model)
    if not is_reference(name) and name not in known_names("model", ()):
        raise VireidError(f"{path}: no such file or folder; {_EXPECTED}")
    function = find("model", name, {}, "model", expected="a function of images and modality", accepts=callable)
    return _function(function, card, name)


_EXPECTED = (
    "expected a run of vireid train, a folder of vireid export, a model with a card (docs/deploy.md), or "
    "package.module:function"
)


def _run(path: Path, threads: int | None, device: torch.device | None) -> RunEmbedder:
    if threads:
        torch.set_num_threads(threads)
    return RunEmbedder(load_run(path, device or default_device()))


def _function(function: Function, card: InputCard | Mapping[str, Any] | None, source: str) -> FunctionEmbedder:
    content = getattr(function, "card", None) if card is None else card
    place = f"card of {source or getattr(function, '__name__', type(function).__name__)}"
    if content is None:
        raise VireidError(f"{place}: missing; give height and width, by load_model or as the function's attribute card")
    return FunctionEmbedder(function, parse_card(InputCard, content, place), source)


def _graphs(path: Path, card: InputCard | Mapping[str, Any] | None, threads: int | None) -> GraphEmbedder:
    """Open an ``.onnx`` file, or a folder of them, with its card."""
    alone = path.is_file()
    if alone and path.suffix != ".onnx":
        raise VireidError(f"{path}: not an .onnx file; {_EXPECTED}")
    folder, stem = (path.parent, path.name) if alone else (path, "card")
    where = f"card of {path}"
    if card is None:
        places = [folder / f"{stem}{suffix}" for suffix in CARDS]
        place = next((place for place in places if place.exists()), None)
        if place is None:
            what = f"no card {places[0].name} beside it" if alone else f"neither {RUN} nor {MANIFEST} nor a card in it"
            raise VireidError(f"{path}: {what}; {_EXPECTED}")
        where, card = str(place), read_card(place)
    fields = parse_card(GraphCard, card, where)
    if alone and fields.file is not None:
        raise VireidError(f"{where}: file: only for a card with a folder of its own; leave it out")
    files = dict.fromkeys(Modality, path) if alone else _files(folder, fields.file or "model.onnx", where)
    return GraphEmbedder(files, fields, home=path.with_suffix("") if alone else path, source=path, threads=threads)


def _files(folder: Path, names: str | Mapping[str, str], where: str) -> dict[Modality, Path]:
    """The graphs that a card names for the modalities; those outside its folder are refused."""
    files = {}
    for modality in Modality:
        name = names if isinstance(names, str) else names[str(modality)]
        files[modality] = file = folder / name.replace("\0", "")
        if "\0" in name or not file.resolve().is_relative_to(folder.resolve()):
            raise VireidError(f"{where}: file {name!r} lies outside the folder; put it beside the card")
    return files
