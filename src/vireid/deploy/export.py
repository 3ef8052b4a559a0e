"""`vireid export`: a run as a folder of ONNX graphs that was compared with PyTorch before it appeared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import vireid
from vireid.data.layouts import open_data, open_pixels
from vireid.data.pixels import PixelStore
from vireid.deploy.card import card_text
from vireid.deploy.graph import to_onnx
from vireid.deploy.manifest import MANIFEST, Graph, Manifest, TrainedOn, to_json
from vireid.deploy.quantise import quantise
from vireid.deploy.run import dimension_of, model_fingerprint
from vireid.deploy.session import features_of, open_session
from vireid.files import atomic_path, write_json
from vireid.images import Pixels
from vireid.training.checkpoint import Run, load_run
from vireid.training.features import network_features
from vireid.types import Dataset, FeatureKind, Modality, Sample, VireidError

if TYPE_CHECKING:
    import onnx

LOWEST = {"float32": 0.9999, "int8": 0.999}
"""Cosine to PyTorch's float32 feature that every compared image has to reach."""

CALIBRATION, COMPARED = 128, 64
"""Images of each modality: training ones that set int8's scales, test ones that are compared."""

Progress = Callable[[int, int], None]


def export_run(
    folder: Path | str,
    *,
    int8: bool = False,
    out: Path | None = None,
    data: Dataset | Path | str | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Path, Manifest]:
    """Export a run to ``out`` (default ``RUN/onnx`` or ``RUN/onnx-int8``); return the folder and what it says.

    Args:
        int8: quantise, with scales from training images of the run's data set.
        data: the run's data set or its root, by default where it was in training.
        cache: folder of the pixel cache, see `PixelStore`.
        progress: called with (residual blocks tried, blocks) while int8 looks for those that must stay in float.

    Raises:
        VireidError: not a finished run, no data set, an ``out`` that holds something else, a package is missing, or
            features further from PyTorch's than `LOWEST` allows: then nothing is written.

    Examples:
        >>> import vireid
        >>> data = vireid.render("sysu", 24, images=1, height=64, width=32)
        >>> folder, manifest = vireid.export_run("runs/tiny", data=data)  # of the example of `vireid.train`
        >>> sorted(file.name for file in folder.iterdir())
        ['README.md', 'export.json', 'infrared.onnx', 'visible.onnx']
        >>> vireid.load_model(folder).fingerprint == vireid.load_model("runs/tiny").fingerprint
        True
    """
    folder = Path(folder)
    try:
        import onnx
        import onnxscript  # noqa: F401 - the exporter's
    except ImportError as error:
        raise VireidError(f"{error.name} is not installed: install it with pip install 'vireid[onnx]'") from None
    run = load_run(folder)
    target = out or folder / ("onnx-int8" if int8 else "onnx")
    if target.exists() and not (target / MANIFEST).is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise VireidError(f"{target}: exists and is not an export; choose another --out")
    dataset = _dataset(run, data)
    precision = "int8" if int8 else "float32"
    files: dict[str, onnx.ModelProto] = {}
    graphs = {}
    for modality in Modality:
        name = str(modality)
        files[name], graphs[name] = _graph(run, dataset, modality, precision, cache, progress)
    manifest = _manifest(run, precision, graphs)
    with atomic_path(target) as work:
        work.mkdir()
        for name, model in files.items():
            onnx.helper.set_model_props(model, manifest.notes(name))
            content = model.SerializeToString(deterministic=True)
            (work / f"{name}.onnx").write_bytes(content)
            graphs[name] = Graph(**(vars(graphs[name]) | {"sha256": hashlib.sha256(content).hexdigest()}))
        manifest = _manifest(run, precision, graphs)
        write_json(work / MANIFEST, to_json(manifest))
        (work / "README.md").write_text(card_text(run, manifest))
    return target, manifest


def _manifest(run: Run, precision: str, graphs: dict[str, Graph]) -> Manifest:
    known = {field.name: run.info[field.name] for field in fields(TrainedOn)}
    if run.info["layout"] != "folder":
        known["seen_folders"] = ()  # only plain folders need them
    return Manifest(
        vireid=vireid.__version__,
        format="onnx",
        precision=precision,  # type: ignore[arg-type]
        name=run.folder.resolve().name,
        recipe=run.recipe.name,
        fingerprint=model_fingerprint(run),
        dimension=dimension_of(run),
        height=run.recipe.data.height,
        width=run.recipe.data.width,
        resampling=run.recipe.data.resampling,
        graphs=graphs,  # type: ignore[arg-type]
        trained_on=TrainedOn(**known),
    )


def _graph(
    run: Run, dataset: Dataset, modality: Modality, precision: str, cache: Path | None, progress: Progress | None
) -> tuple[onnx.ModelProto, Graph]:
    """One modality's graph and its entry, whose checksum is still to come."""
    config = run.recipe.data
    model = to_onnx(run.network, modality, config.height, config.width)
    samples = _draw(dataset.test, modality, COMPARED)
    store = open_pixels(dataset, samples, config, cache)
    expected = network_features(run.network, store, samples)[FeatureKind.AFTER_BNNECK].embeddings.numpy()
    images = _pixels(store, len(samples))
    lowest = LOWEST[precision]
    kept: tuple[str, ...] = ()
    if precision == "int8":
        training = _draw(dataset.train, modality, CALIBRATION)
        calibration = _pixels(open_pixels(dataset, training, config, cache), len(training))
        found = quantise(model, calibration, images, expected, lowest, progress)
        model, cosines, kept = found.model, found.cosines, found.float_blocks
    else:
        cosines = (features_of(open_session(model.SerializeToString()), images) * expected).sum(1)
    if not cosines.min() >= lowest:
        raise VireidError(
            f"{run.folder}: {modality}: lowest cosine to PyTorch {cosines.min():.6f}, expected {lowest}; "
            "nothing is written"
        )
    entry = Graph(f"{modality}.onnx", "0" * 64, len(images), float(cosines.min()), float(cosines.mean()), kept)
    return model, entry


def _dataset(run: Run, data: Dataset | Path | str | None) -> Dataset:
    if isinstance(data, Dataset):
        return data
    root = Path(data) if data else (Path(run.info["data"]) if run.info["data"] else None)
    if root is not None and not root.is_dir():
        raise VireidError(f"{root}: the run's data set is not there; give its folder with --data")
    return open_data(run.recipe.data, root, run.info["trial"] or 1, other=True)


def _draw(samples: Sequence[Sample], modality: Modality, count: int) -> list[Sample]:
    own = [sample for sample in samples if sample.modality is modality]
    if not own:
        raise VireidError(f"data: no {modality} image to compare on; give the run's data set with --data")
    return [own[i] for i in np.random.default_rng(0).permutation(len(own))[:count]]


def _pixels(store: PixelStore, count: int) -> Pixels:
    return np.ascontiguousarray(store.batch(np.arange(count)).permute(0, 2, 3, 1).numpy())
