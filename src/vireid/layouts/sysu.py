"""The SYSU-MM01 layout (Wu et al., ICCV 2017).

``ROOT/cam{1..6}/{identity:04d}/*.jpg`` with lists in ``ROOT/exp``. Cameras 1, 2, 4, 5 are visible, 3 and 6
infrared. The training part is the train and validation lists together, as in all published results.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vireid.layouts import counts
from vireid.layouts.listing import (
    Notify,
    Problem,
    check_split,
    image_files,
    numbered,
    read_identities,
    subfolders,
)
from vireid.layouts.spec import LayoutSpec, MatchRule, Search
from vireid.layouts.tree import TRIALS, Order, Place, Tree, identity_row
from vireid.types import Dataset, Modality, Sample

DRAWS = "exp/rand_perm_cam.mat"
CAMERAS = {camera: Modality.INFRARED if camera in (3, 6) else Modality.VISIBLE for camera in range(1, 7)}

Permutations = dict[tuple[int, int], npt.NDArray[np.int64]]


def load(root: Path, trial: int, notify: Notify) -> Dataset:
    """Read ``exp/{train,val,test}_id.txt`` (or ``.mat``) and the images of those identities.

    Not every camera saw every identity, so a camera may lack a folder for one; a listed identity without any
    image is reported as missing. Folders of identities in no list are left out. Where ``rand_perm_cam.mat``
    exists, its image counts must agree with the folders of the test part, because the official galleries
    are positions in the sorted file lists.
    """
    folders = _identity_folders(root)
    parts: dict[str, list[Sample]] = {}
    for name in ("train", "val", "test"):
        parts[name] = []
        for identity in _listed(root / "exp", name, notify):
            samples = _samples(folders.get(identity, []), identity)
            parts[name] += samples
            if not samples:
                what = f"identity {identity} is in the {name} list but has no image in any camera folder"
                notify(Problem("missing", str(root / "exp" / f"{name}_id.txt"), what))
    test = tuple(parts["test"])
    permutations = _permutations(root / DRAWS, test, notify)
    train = sorted(parts["train"] + parts["val"], key=lambda s: (s.identity, s.camera, s.path.name))
    dataset = Dataset("sysu", root, tuple(train), test, gallery_permutations=permutations)
    check_split(dataset, notify)
    return dataset


def _identity_folders(root: Path) -> dict[int, list[tuple[int, Path]]]:
    """Identity -> its (camera, folder) pairs, cameras ascending."""
    folders: dict[int, list[tuple[int, Path]]] = {}
    for camera in CAMERAS:
        for folder in subfolders(root / f"cam{camera}"):
            identity = numbered(folder.name)
            if identity is not None:
                folders.setdefault(identity, []).append((camera, folder))
    return folders


def _samples(folders: list[tuple[int, Path]], identity: int) -> list[Sample]:
    return [
        Sample(path, identity, camera, CAMERAS[camera]) for camera, folder in folders for path in image_files(folder)
    ]


def _listed(folder: Path, name: str, notify: Notify) -> list[int]:
    """Identities of ``{name}_id.txt``, or else of ``{name}_id.mat`` (variable ``id``, shape (1, n))."""
    text, mat = folder / f"{name}_id.txt", folder / f"{name}_id.mat"
    if text.exists() or not mat.exists():
        return read_identities(text, notify)
    ids = _read_mat(mat, "id", notify)
    if ids is None:
        return []
    if ids.dtype.kind not in "iuf" or ids.ndim != 2 or 1 not in ids.shape or (ids != np.floor(ids)).any():
        what = f"expected whole numbers in a row, got {ids.dtype} of shape {ids.shape}"
        notify(Problem("unreadable", str(mat), what))
        return []
    return sorted({int(i) for i in ids.ravel()})


def _read_mat(path: Path, variable: str, notify: Notify) -> npt.NDArray[Any] | None:
    import scipy.io  # here, because evaluation reads this module where only torch and numpy are installed

    try:
        array: npt.NDArray[Any] = scipy.io.loadmat(str(path))[variable]
    except KeyError:
        notify(Problem("unreadable", str(path), f"expected a variable named {variable!r}"))
    except Exception as error:  # scipy raises many types on a damaged file, none of them documented
        what = f"expected a MATLAB file of version 7 or older ({type(error).__name__})"
        notify(Problem("unreadable", str(path), what))
    else:
        return array
    return None


def _permutations(path: Path, test: tuple[Sample, ...], notify: Notify) -> Permutations:
    """The official draws of the test part, 0-based; empty if the file is absent.

    Cell [camera][identity] of the file is (10, images), row t a permutation of 1..images for trial t.
    """
    cells = _read_mat(path, "rand_perm_cam", notify) if path.exists() else None
    if cells is None:
        return {}
    if cells.dtype != object or cells.shape != (6, 1):
        notify(Problem("unreadable", str(path), f"expected 6 x 1 cells, got {cells.dtype} of shape {cells.shape}"))
        return {}
    present = Counter((sample.camera, sample.identity) for sample in test)
    permutations: Permutations = {}
    for camera in CAMERAS:
        column = cells[camera - 1, 0].ravel()
        for identity in sorted({sample.identity for sample in test}):
            drawn = np.asarray(column[identity - 1]) if 0 < identity <= len(column) else np.empty((TRIALS, 0))
            flaw = _flaw(path, camera, identity, drawn, present[camera, identity])
            if flaw:
                notify(flaw)
            elif drawn.size:
                permutations[camera, identity] = drawn.astype(np.int64) - 1
    return permutations


def _flaw(path: Path, camera: int, identity: int, drawn: npt.NDArray[Any], found: int) -> Problem | None:
    """The error in the draws of one identity and camera, for which ``found`` images exist."""
    listed = drawn.shape[1] if drawn.ndim == 2 else 0
    if found != listed:
        where = str(path.parent.parent / f"cam{camera}" / f"{identity:04d}")
        what = f"{found} images, but {DRAWS} lists {listed}; restore the folder, "
        what += "or remove that file to draw galleries by the community rule"
        return Problem("missing" if found < listed else "mislabelled", where, what)
    if found and not np.array_equal(np.sort(drawn, axis=1), [range(1, found + 1)] * TRIALS):
        what = f"camera {camera}, identity {identity}: expected {TRIALS} permutations of 1 to {found}"
        return Problem("unreadable", str(path), what)
    return None


def tree(order: Order) -> Tree:
    """``cam{1..6}/{identity}/{image}.jpg``, id lists and ``rand_perm_cam.mat``."""
    test, rest = order.split()
    shape = np.full((order.identities, 6), order.images or 0)
    if order.images is None:
        sizes = (PUBLISHED[f"training {name}"] for name in ("identities", "images, visible", "images, infrared"))
        shape[np.array(test) - 1] = counts.sysu_test(order.random, len(test))
        shape[np.array(rest) - 1] = counts.sysu_training(order.random, len(rest), *sizes)
    places = [
        Place(f"cam{camera}/{identity:04d}/{image:04d}.jpg", identity, camera, image, modality)
        for camera, modality in CAMERAS.items()
        for identity in range(1, order.identities + 1)
        for image in range(1, shape[identity - 1, camera - 1] + 1)
    ]
    cut = max(1, round(len(rest) * 99 / 395)) if len(rest) > 1 else 0  # the real set's share for validation
    lists = (("test", test), ("val", rest[:cut]), ("train", rest[cut:]))
    files = {f"exp/{name}_id.txt": identity_row(people) for name, people in lists}
    draws = {}
    for (person, column), count in np.ndenumerate(shape):
        key = column + 1, person + 1
        draws[key] = order.random(6, *key).permuted(np.tile(np.arange(count), (TRIALS, 1)), axis=1)
    files[DRAWS] = _permutation_file(draws, order.identities)
    return Tree(places, files, draws)


def _permutation_file(draws: Permutations, identities: int) -> bytes:
    """The gallery draws as in the real set's file: cell [camera][identity] is (10 trials x images), from 1."""
    import scipy.io

    cells = np.empty((6, 1), dtype=object)
    for camera in CAMERAS:
        people = np.empty((identities, 1), dtype=object)
        for identity in range(1, identities + 1):
            places = draws[camera, identity] + 1
            people[identity - 1, 0] = places.astype(np.uint8 if places.shape[1] < 256 else np.uint16)
        cells[camera - 1, 0] = people
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"rand_perm_cam": cells})
    # the first 116 bytes are free text, into which SciPy writes the time
    return b"MATLAB 5.0 MAT-file, vireid synthetic set".ljust(116) + buffer.getvalue()[116:]


PUBLISHED = {
    "training identities": 395,
    "test identities": 96,
    "cameras": 6,
    "training images, visible": 22_258,
    "training images, infrared": 11_909,
    "test images, visible": 6_775,
    "test images, infrared": 3_803,
}
_INFRARED = (3, 6)


def _both_ways(name: str, visible: tuple[int, ...]) -> tuple[Search, Search]:
    title = f"{name.capitalize()} search"
    infrared = Modality.INFRARED
    return (
        Search(infrared, Modality.VISIBLE, f"{title}, infrared to visible", name, _INFRARED, visible),
        Search(Modality.VISIBLE, infrared, f"{title}, visible to infrared", name, visible, _INFRARED, official=False),
    )


_ALL, _INDOOR = _both_ways("all", (1, 2, 4, 5)), _both_ways("indoor", (1, 2))

SYSU = LayoutSpec(
    name="sysu",
    title="SYSU-MM01",
    load=load,
    markers=tuple(f"cam{camera}" for camera in CAMERAS),
    # Cameras 2 and 3 are in the same room; the official code gives both one label, so a query of one never meets
    # gallery images of the other.
    rule=MatchRule("sysu", identity_cmc=True, never_compared=((3, 2), (2, 3))),
    searches=_ALL + _INDOOR,
    shots=(1, 10),
    draws=DRAWS,
    trials=TRIALS,
    columns=(_ALL[0], _INDOOR[0]),
    published=PUBLISHED,
    recipe="sysu-dfw",
    printed="All search",
    tree=tree,
)
