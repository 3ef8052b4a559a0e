"""Which of the four layouts a folder has, and the data set in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vireid.config import DataConfig
from vireid.data import folder, llcm, regdb, sysu
from vireid.data.listing import Notify, refuse, subfolders
from vireid.data.live import RenderedStore, live_dataset, live_settings
from vireid.data.pixels import PixelStore
from vireid.files import read_json
from vireid.parallel import Progress
from vireid.types import Dataset, Layout, Sample, VireidError

MARKERS: dict[Layout, tuple[str, ...]] = {
    "sysu": ("cam1", "cam2", "cam3", "cam4", "cam5", "cam6"),
    "regdb": ("Visible", "Thermal"),
    "llcm": ("vis", "nir"),
    "folder": ("visible", "infrared"),
}
"""The folders that tell a layout: all of one layout's first, then any one of them (an incomplete copy)."""

LOADERS: dict[Layout, Callable[[Path, int, Notify], Dataset]] = {
    "sysu": lambda root, _, notify: sysu.load(root, notify),
    "regdb": regdb.load,
    "llcm": lambda root, _, notify: llcm.load(root, notify),
    "folder": lambda root, _, notify: folder.load(root, notify),
}


def open_dataset(root: Path, trial: int = 1) -> Dataset:
    """Recognise the layout of ``root`` and return its records; no image is opened.

    ``trial`` (1 to 10) picks the split of a RegDB tree and is ignored elsewhere. Raises `VireidError`, in one
    line, for a missing or empty root, a layout that is none of the four, and the first flaw of the tree: a
    missing list, a bad line, a listed image or identity that does not exist, an identity in both parts, a
    training identity of one modality only (see `vireid.data.check` for all flaws at once).
    """
    root = Path(root)
    dataset = LOADERS[recognise(root)](root, trial, refuse)
    for part, samples in (("training", dataset.train), ("test", dataset.test)):
        if not samples:
            raise VireidError(f"{root}: the {part} part of this {dataset.layout} layout has no image")
    return dataset


def open_data(config: DataConfig, root: Path | None, trial: int = 1) -> Dataset:
    """Return the data set at ``root``, or without one the set that a recipe of ``kind: synthetic`` renders.

    Raises `VireidError` as `open_dataset` does, and for a recipe that needs a root.
    """
    if root is not None:
        return open_dataset(root, trial)
    if config.kind == "files":
        raise VireidError("data: expected --data PATH; only a recipe with data.kind=synthetic renders its own images")
    return live_dataset(live_settings(config), trial)


def open_pixels(
    dataset: Dataset,
    samples: Sequence[Sample],
    config: DataConfig,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> PixelStore:
    """Return the pixels of some of a data set's samples, at the size of the network's input; see `PixelStore.build`."""
    if dataset.rendered:
        return RenderedStore(dataset, samples)
    return PixelStore.build(samples, config.height, config.width, cache, progress=progress, resampling=config.resize)


def recognise(root: Path) -> Layout:
    """Tell the layout from the folders in ``root``; `VireidError` if missing, empty or none of the four."""
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise VireidError(f"{root}: expected the folder of a data set, but it {what}")
    if not any(root.iterdir()):
        raise VireidError(f"{root}: expected a data set, but the folder is empty")
    layout = _match(root)
    if layout is not None:
        return layout
    looked_for = "; ".join(f"{name}: {', '.join(markers)}" for name, markers in MARKERS.items())
    inner = next((child for child in subfolders(root) if _match(child)), None)
    advice = f"did you mean {inner}?" if inner else "see docs/datasets.md"
    raise VireidError(f"{root}: none of the four layouts; looked for the folders of {looked_for}; {advice}")


def _match(root: Path) -> Layout | None:
    names = {child.name for child in subfolders(root)}  # a listing, because some file systems ignore case
    for enough in (all, any):
        for layout, markers in MARKERS.items():
            if enough(marker in names for marker in markers):
                return layout
    return None


def synthetic_record(root: Path) -> dict[str, Any] | None:
    """What ``synthetic.json`` says of a rendered set (seed, difficulty, sizes); None for any other."""
    path = root / "synthetic.json"
    return read_json(path, "the record of a rendered set") if path.exists() else None


def record_of(dataset: Dataset) -> dict[str, Any] | None:
    """What is known of how a data set was rendered, with or without files; None for photographs."""
    return dataset.rendered or synthetic_record(dataset.root)
