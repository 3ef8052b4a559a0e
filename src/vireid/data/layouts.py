"""Open the data set in a folder: recognise its layout, read its records and pixels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from vireid.config import DataConfig
from vireid.data.live import RenderedStore, live_dataset, live_settings
from vireid.data.pixels import PixelStore
from vireid.files import read_json
from vireid.layouts import BUILTIN, LayoutSpec, find_layout, layout_names
from vireid.layouts.listing import refuse, subfolders
from vireid.parallel import Progress
from vireid.types import Dataset, Sample, VireidError


class InputSize(Protocol):
    """What says how an image becomes a network's input, by size and filter: a recipe's data section, or a model."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def resampling(self) -> str: ...


def open_dataset(root: Path | str, trial: int = 1, layout: str | None = None, field: str = "layout") -> Dataset:
    """Return the records of the data set at ``root``; no image is opened.

    Args:
        trial: the split of a layout that has several (RegDB: 1 to 10); ignored elsewhere.
        layout: its name or ``package.module:NAME``, see `vireid.layouts.find_layout`; by default detected.
        field: what errors about ``layout`` begin with.

    Raises:
        VireidError: in one line, a missing or empty root, an unknown layout, and the first flaw of the tree: a
            missing list, a bad line, a listed image or identity that does not exist, an identity in both parts, a
            training identity of one modality only (see `vireid.data.check` for all flaws at once).

    Examples:
        >>> import tempfile, vireid
        >>> root = f"{tempfile.mkdtemp()}/set"
        >>> _ = vireid.render("market", 2, images=2, height=16, width=8, out=root)
        >>> data = vireid.open_dataset(root)
        >>> data.layout, len(data.train), len(data.test), len(data.queries)
        ('market', 12, 12, 6)
    """
    root = Path(root)
    name = recognise(root) if layout is None else layout
    spec = find_layout(name, field)
    _require(root)
    dataset = replace(spec.load(root, trial, refuse), layout=name)
    if not dataset.test:
        raise VireidError(f"{root}: the test part of this {spec.name} layout has no image")
    return dataset


def open_data(config: DataConfig, root: Dataset | Path | str | None, trial: int = 1, *, other: bool = False) -> Dataset:
    """Return the data set at ``root``, or without ``root`` the set that a recipe of ``kind: synthetic`` renders.

    Args:
        root: an open data set is returned as it is.
        other: whether ``root`` may be of another layout than the recipe's.

    Raises:
        VireidError: as `open_dataset` does, and for a recipe that needs a root.
    """
    if isinstance(root, Dataset):
        return root
    if root is not None:
        root = Path(root)
        layout = recognise(root, config.layout) if other else config.layout
        return open_dataset(root, trial, layout, "data.layout")
    if config.kind == "files":
        raise VireidError("data: expected --data PATH; only a recipe with data.kind=synthetic renders its own images")
    return live_dataset(live_settings(config), trial)


def open_pixels(
    dataset: Dataset,
    samples: Sequence[Sample],
    size: InputSize,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> PixelStore:
    """Return the pixels of some of a data set's samples, at the size of the network's input; see `PixelStore.build`.

    Raises:
        VireidError: what `PixelStore.build` raises, or a set rendered in memory at another size.
    """
    if dataset.rendered:
        rendered = dataset.rendered["height"], dataset.rendered["width"]
        if rendered != (size.height, size.width):
            raise VireidError(
                f"data: rendered at {rendered[0]} x {rendered[1]} pixels, expected the network's input of "
                f"{size.height} x {size.width}; render that, or set data.height and data.width"
            )
        return RenderedStore(dataset, samples)
    return PixelStore.build(samples, size.height, size.width, cache, progress=progress, resampling=size.resampling)


def recognise(root: Path, first: str | None = None) -> str:
    """Detect the name of the layout from the folders in ``root``, or from a file's suffix.

    Among layouts whose markers are all there, the one with the most wins; otherwise the first that has any of them,
    built-in ones before those of installed packages.

    Args:
        first: a layout to try before all others.

    Raises:
        VireidError: missing, empty, or of no known layout.
    """
    _require(root)
    layouts = _known()
    asked = {first: find_layout(first, "data.layout")} if first else {}
    found = _match(root, asked) or _match(root, layouts)
    if found is not None:
        return found
    markers = "; ".join(f"{name}: {', '.join(spec.markers)}" for name, spec in layouts.items() if spec.markers)
    suffixes = " or ".join(spec.suffix for spec in layouts.values() if spec.suffix)
    if root.is_file():
        raise VireidError(f"{root}: is a file; expected the folder of a data set, or a list that ends in {suffixes}")
    inner = next((child for child in subfolders(root) if _match(child, layouts)), None)
    advice = f"did you mean {inner}?" if inner else f"give a {suffixes} list instead, or see docs/datasets.md"
    raise VireidError(f"{root}: none of the known layouts; looked for the folders of {markers}; {advice}")


def _require(root: Path) -> None:
    if not root.exists():
        raise VireidError(f"{root}: expected the folder of a data set, but it does not exist")
    if root.is_dir() and not any(root.iterdir()):
        raise VireidError(f"{root}: expected a data set, but the folder is empty")


def _known() -> dict[str, LayoutSpec]:
    """All layouts by name; a broken one of an installed package is left out with a warning."""
    found = {}
    for name in layout_names():
        try:
            found[name] = find_layout(name)
        except VireidError as error:
            if name in BUILTIN:
                raise
            warnings.warn(f"{error}; this layout is left out", stacklevel=2)
    return found


def _match(root: Path, layouts: Mapping[str, LayoutSpec]) -> str | None:
    if not root.is_dir():
        return next(
            (name for name, spec in layouts.items() if spec.suffix and spec.suffix == root.suffix.lower()), None
        )
    folders = {child.name for child in subfolders(root)}  # listed, because some file systems ignore case
    whole = [name for name, spec in layouts.items() if spec.markers and folders.issuperset(spec.markers)]
    if whole:
        return max(whole, key=lambda name: len(layouts[name].markers))
    return next((name for name, spec in layouts.items() if folders.intersection(spec.markers)), None)


def synthetic_record(root: Path) -> dict[str, Any] | None:
    """The content of a rendered set's ``synthetic.json`` (seed, difficulty, sizes); None for any other set."""
    path = root / "synthetic.json"
    return read_json(path, "the record of a rendered set") if path.exists() else None


def record_of(dataset: Dataset) -> dict[str, Any] | None:
    """The record of how a data set was rendered, with or without files; None for photographs."""
    return dataset.rendered or synthetic_record(dataset.root)
