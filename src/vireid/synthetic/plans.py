"""What is to be rendered and written where, decided before any pixel is: the four layouts of the real sets."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.io import savemat

from vireid.synthetic import counts
from vireid.synthetic.identity import stream
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.settings import SyntheticSet
from vireid.types import Modality

TRIALS = 10
REGDB_FOLDERS = {Modality.VISIBLE: "Visible", Modality.INFRARED: "Thermal"}
LLCM_FOLDERS = {Modality.VISIBLE: "vis", Modality.INFRARED: "nir"}
REGDB_IMAGES, FOLDER_IMAGES = 10, 4  # per person and modality where the settings give no number


@dataclass(frozen=True)
class Shot:
    """One image to make: where it goes, below the set's folder, and what it shows."""

    path: str
    identity: int
    camera: int
    image: int
    spectrum: Spectrum


Draws = dict[tuple[int, int], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Plan:
    """All images of a set, in the order in which to make them, and its lists as ``files[path] = content``.

    ``draws[camera, identity]`` (10, images), where the layout has galleries drawn in advance: row t is a permutation of
    the images' places, from 0.
    """

    shots: tuple[Shot, ...]
    files: dict[str, bytes]
    draws: Draws


def plan(settings: SyntheticSet) -> Plan:
    """Decide the images and lists of a set; takes half a second for the largest and touches no file.

    The images are in camera order and shuffled within a camera, so that the order in which a disk took them says
    nothing about who is on them.
    """
    shots, files, draws = _LAYOUTS[settings.like](settings)
    shots.sort(key=lambda shot: shot.path)
    order = stream(settings.seed, 10).permutation(len(shots))
    shuffled = (shots[index] for index in order)
    return Plan(tuple(sorted(shuffled, key=lambda shot: (shot.camera, shot.spectrum.value))), files, draws)


_Layout = tuple[list[Shot], dict[str, bytes], Draws]


def _sysu(settings: SyntheticSet) -> _Layout:
    """``cam{1..6}/{identity}/{image}.jpg``, id lists and ``rand_perm_cam.mat``."""
    test, rest = split(settings)
    shape = np.full((settings.identities, 6), settings.images or 0)
    if settings.images is None:
        shape[np.array(test) - 1] = counts.sysu_test(settings.seed, len(test))
        shape[np.array(rest) - 1] = counts.sysu_training(settings.seed, len(rest))
    shots = [
        Shot(f"cam{camera}/{identity:04d}/{image:04d}.jpg", identity, camera, image, spectrum)
        for camera in range(1, 7)
        for spectrum in [settings.infrared if camera in (3, 6) else Spectrum.VISIBLE]
        for identity in range(1, settings.identities + 1)
        for image in range(1, shape[identity - 1, camera - 1] + 1)
    ]
    cut = max(1, round(len(rest) * 99 / 395)) if len(rest) > 1 else 0  # the real set's share for validation
    files = {
        f"exp/{name}_id.txt": _row(ids) for name, ids in (("test", test), ("val", rest[:cut]), ("train", rest[cut:]))
    }
    draws = _draws(shape, settings.seed)
    files["exp/rand_perm_cam.mat"] = _permutations(draws, settings.identities)
    return shots, files, draws


def _draws(shape: counts.Counts, seed: int) -> Draws:
    draws = {}
    for (person, camera), count in np.ndenumerate(shape):
        key = camera + 1, person + 1
        draws[key] = stream(seed, 6, *key).permuted(np.tile(np.arange(count), (TRIALS, 1)), axis=1)
    return draws


def _permutations(draws: Draws, identities: int) -> bytes:
    """The gallery draws as the real set's file has them: cell [camera][identity] is (10 trials x images), counted from
    1."""
    cells = np.empty((6, 1), dtype=object)
    for camera in range(1, 7):
        people = np.empty((identities, 1), dtype=object)
        for identity in range(1, identities + 1):
            places = draws[camera, identity] + 1
            people[identity - 1, 0] = places.astype(np.uint8 if places.shape[1] < 256 else np.uint16)
        cells[camera - 1, 0] = people
    buffer = io.BytesIO()
    savemat(buffer, {"rand_perm_cam": cells})
    # the first 116 bytes are free text, into which SciPy writes the time
    return b"MATLAB 5.0 MAT-file, vireid synthetic set".ljust(116) + buffer.getvalue()[116:]


def _regdb(settings: SyntheticSet) -> _Layout:
    """``{Visible,Thermal}/{identity}/walk_{v,t}_{image}.bmp`` and the lists of ten random splits."""
    shots = [
        Shot(f"{folder}/{identity}/walk_{folder[0].lower()}_{image:05d}.bmp", identity, 1 + modality, image, spectrum)
        for modality, folder in REGDB_FOLDERS.items()
        for spectrum in [_spectrum(settings, modality)]
        for identity in range(1, settings.identities + 1)
        for image in range(1, (settings.images or REGDB_IMAGES) + 1)
    ]
    files = {}
    for trial in range(1, TRIALS + 1):
        for part, people in zip(("test", "train"), split(settings, trial), strict=True):
            for modality, folder in REGDB_FOLDERS.items():
                mine = (shot for shot in shots if shot.spectrum.modality is modality)
                files[f"idx/{part}_{folder.lower()}_{trial}.txt"] = _labelled(mine, people)
    return shots, files, {}


def _llcm(settings: SyntheticSet) -> _Layout:
    """``{vis,nir,test_vis,test_nir}/cam{1..9}/{identity}/{image}.jpg``, lists of training images and test ids."""
    test, rest = split(settings)
    shape = np.full((settings.identities, 9, 2), settings.images or 0)
    if settings.images is None:
        shape[np.array(test) - 1] = counts.llcm(settings.seed, len(test), training=False)
        shape[np.array(rest) - 1] = counts.llcm(settings.seed, len(rest), training=True)
    training = set(rest)
    # a camera works by day and by night: infrared images count on, so that no two show the same moment
    shots = [
        Shot(f"{prefix}{folder}/cam{camera}/{identity:04d}/{image:04d}.jpg", identity, camera, before + image, spectrum)
        for modality, folder in LLCM_FOLDERS.items()
        for spectrum in [_spectrum(settings, modality)]
        for camera in range(1, 10)
        for identity in range(1, settings.identities + 1)
        for prefix in ["" if identity in training else "test_"]
        for before in [shape[identity - 1, camera - 1, 0].item() if modality else 0]
        for image in range(1, shape[identity - 1, camera - 1, modality] + 1)
    ]
    files = {"idx/test_id.txt": _row(test)}
    for modality, folder in LLCM_FOLDERS.items():
        mine = (shot for shot in shots if shot.spectrum.modality is modality)
        files[f"idx/train_{folder}.txt"] = _labelled(mine, rest)
    return shots, files, {}


def _folder(settings: SyntheticSet) -> _Layout:
    """``{visible,infrared}/{identity}/cam{1,2}_{image}.jpg``; no lists."""
    shots = [
        Shot(f"{modality}/{identity:04d}/cam{camera}_{image:04d}.jpg", identity, camera, image, spectrum)
        for modality in Modality
        for camera, spectrum in [(1 + modality, _spectrum(settings, modality))]
        for identity in range(1, settings.identities + 1)
        for image in range(1, (settings.images or FOLDER_IMAGES) + 1)
    ]
    return shots, {}, {}


_LAYOUTS: dict[str, Callable[[SyntheticSet], _Layout]] = {
    "sysu": _sysu,
    "regdb": _regdb,
    "llcm": _llcm,
    "folder": _folder,
}


def _spectrum(settings: SyntheticSet, modality: Modality) -> Spectrum:
    return settings.infrared if modality is Modality.INFRARED else Spectrum.VISIBLE


def split(settings: SyntheticSet, trial: int | None = None) -> tuple[list[int], list[int]]:
    """Draw who is for testing and who is not, both in random order; ``regdb`` has a split for each ``trial`` (1 to 10),
    and in a ``folder`` nobody is for testing."""
    key = () if trial is None else (trial,)
    order = [int(index) + 1 for index in stream(settings.seed, 5, *key).permutation(settings.identities)]
    return order[: settings.test_identities], order[settings.test_identities :]


def _row(people: Iterable[int]) -> bytes:
    return (",".join(map(str, sorted(people))) + "\n").encode()


def _labelled(shots: Iterable[Shot], people: list[int]) -> bytes:
    """Lines ``path label``, the label being the place among the sorted ``people``."""
    label = {identity: index for index, identity in enumerate(sorted(people))}

    def lines() -> Iterator[str]:
        for shot in shots:
            if shot.identity in label:
                yield f"{shot.path} {label[shot.identity]}\n"

    return "".join(lines()).encode()
