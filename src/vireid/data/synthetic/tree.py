"""Whole data sets on disk, laid out like the real ones: SYSU-MM01 or RegDB."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.io import savemat

from vireid.data.synthetic.difficulty import Difficulty, dial
from vireid.data.synthetic.identity import stream
from vireid.data.synthetic.materials import Spectrum
from vireid.data.synthetic.workers import Job, Shot, run
from vireid.types import VireidError

VERSION = 1  # of the pictures: raised with every change that alters a byte
TRIALS = 10
SYSU_CAMERAS = {number: Spectrum.NEAR if number in (3, 6) else Spectrum.VISIBLE for number in range(1, 7)}
REGDB_CAMERAS = {1: Spectrum.VISIBLE, 2: Spectrum.THERMAL}
REGDB_FOLDERS = {Spectrum.VISIBLE: "Visible", Spectrum.THERMAL: "Thermal"}


def write_tree(
    root: Path,
    like: Literal["sysu", "regdb"],
    identities: int,
    *,
    seed: int = 0,
    difficulty: Difficulty | float = 0.3,
    height: int = 288,
    width: int = 144,
    images: int | Mapping[int, int] = 10,
    test_identities: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a synthetic set of ``identities`` people to ``root``; the same arguments give the same bytes.

    ``sysu``: six cameras, 3 and 6 infrared, JPEG, id lists and ``rand_perm_cam.mat``; ``test_identities``
    of the people (default a fifth) are for testing and a fifth of the others for validation. ``regdb``: one
    camera per modality, BMP, ten random splits (default half of the people each); its ``Thermal`` folder
    holds near-infrared images for now. ``images`` is the number per person and camera, or a number for each
    camera. ``synthetic.json`` records the recipe. ``progress`` is called with (images written, images in
    all).

    The tree appears at ``root`` when it is complete; an interrupted run leaves nothing. Raises
    ``VireidError`` when ``root`` is in use, a number is out of range or the disk is full.
    """
    root = Path(root)
    level = dial(difficulty)
    if seed < 0:
        raise VireidError(f"seed: expected 0 or more, got {seed}")
    counts = _counts(like, images)
    held_out = _held_out(like, identities, test_identities)
    if min(height, width) < 8:
        raise VireidError(f"height, width: expected at least 8 pixels, got {height} x {width}")
    if root.is_file() or (root.is_dir() and any(root.iterdir())):
        raise VireidError(f"{root}: already in use; give a new or an empty folder")
    recipe = {
        "version": VERSION,
        "like": like,
        "seed": seed,
        "difficulty": asdict(level),
        "identities": identities,
        "test_identities": held_out,
        "images": {str(camera): count for camera, count in counts.items()},
        "height": height,
        "width": width,
    }
    shots, files = (_sysu if like == "sysu" else _regdb)(identities, counts, held_out, seed)
    files["synthetic.json"] = (json.dumps(recipe, indent=2) + "\n").encode()
    with _draft(root) as draft:
        for parent in {(draft / name).parent for name in [*files, *(shot.path for shot in shots)]}:
            parent.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (draft / name).write_bytes(content)
        done = 0
        with closing(run(Job(draft, tuple(shots), seed, level, height, width))) as written:
            for count in written:
                done += count
                if progress is not None:
                    progress(done, len(shots))


def _counts(like: str, images: int | Mapping[int, int]) -> dict[int, int]:
    """Return the images per person for each camera of a layout."""
    if like not in ("sysu", "regdb"):
        raise VireidError(f"like: expected sysu or regdb, got {like}")
    cameras = SYSU_CAMERAS if like == "sysu" else REGDB_CAMERAS
    counts = dict(images) if isinstance(images, Mapping) else dict.fromkeys(cameras, images)
    if set(counts) != set(cameras) or min(counts.values()) < 1:
        raise VireidError(f"images: expected 1 or more for each of the cameras {list(cameras)}, got {images}")
    return {camera: counts[camera] for camera in cameras}


def _held_out(like: str, identities: int, test_identities: int | None) -> int:
    """Return how many people are for testing."""
    if identities < 2:
        raise VireidError(f"identities: expected at least 2, got {identities}")
    usual = max(1, identities // 5) if like == "sysu" else identities // 2
    held_out = usual if test_identities is None else test_identities
    if not 1 <= held_out < identities:
        raise VireidError(f"test_identities: expected 1 to {identities - 1}, got {held_out}")
    return held_out


@contextmanager
def _draft(root: Path) -> Iterator[Path]:
    """Give a folder beside ``root`` that becomes ``root`` when the block ends well and vanishes otherwise."""
    draft = None
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
        yield draft
        draft.chmod(0o755)
        draft.replace(root)
    except OSError as error:
        raise VireidError(f"{root}: cannot be written: {error.strerror or error}") from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _sysu(identities: int, counts: Mapping[int, int], held_out: int, seed: int) -> tuple[list[Shot], dict[str, bytes]]:
    shots = [
        Shot(f"cam{camera}/{identity:04d}/{image:04d}.jpg", identity, camera, image, spectrum)
        for camera, spectrum in SYSU_CAMERAS.items()
        for identity in range(1, identities + 1)
        for image in range(1, counts[camera] + 1)
    ]
    order = [int(index) + 1 for index in stream(seed, 5).permutation(identities)]
    test, rest = order[:held_out], order[held_out:]
    cut = max(1, len(rest) // 5) if len(rest) > 1 else 0
    lists = {"test": test, "val": rest[:cut], "train": rest[cut:]}
    files = {f"exp/{name}_id.txt": (",".join(map(str, sorted(ids))) + "\n").encode() for name, ids in lists.items()}
    files["exp/rand_perm_cam.mat"] = _permutations(identities, counts, seed)
    return shots, files


def _permutations(identities: int, counts: Mapping[int, int], seed: int) -> bytes:
    """The gallery draws as the real set has them: cell [camera][identity] is (10 trials x images), counted
    from 1."""
    cells = np.empty((len(counts), 1), dtype=object)
    for camera, count in sorted(counts.items()):
        people = np.empty((identities, 1), dtype=object)
        for identity in range(1, identities + 1):
            rng = stream(seed, 6, camera, identity)
            draws = [rng.permutation(count) + 1 for _ in range(TRIALS)]
            people[identity - 1, 0] = np.array(draws, dtype=np.uint8 if count < 256 else np.uint16)
        cells[camera - 1, 0] = people
    buffer = io.BytesIO()
    savemat(buffer, {"rand_perm_cam": cells})
    # the first 116 bytes are free text, into which SciPy writes the time
    return b"MATLAB 5.0 MAT-file, vireid synthetic set".ljust(116) + buffer.getvalue()[116:]


def _regdb(identities: int, counts: Mapping[int, int], held_out: int, seed: int) -> tuple[list[Shot], dict[str, bytes]]:
    shots = [
        Shot(
            f"{REGDB_FOLDERS[spectrum]}/{identity}/walk_{spectrum.value[0]}_{image:05d}_{identity}.bmp",
            identity,
            camera,
            image,
            spectrum,
        )
        for camera, spectrum in REGDB_CAMERAS.items()
        for identity in range(1, identities + 1)
        for image in range(1, counts[camera] + 1)
    ]
    files = {}
    for trial in range(1, TRIALS + 1):
        order = [int(index) + 1 for index in stream(seed, 5, trial).permutation(identities)]
        for part, people in (("test", sorted(order[:held_out])), ("train", sorted(order[held_out:]))):
            label = {identity: index for index, identity in enumerate(people)}
            for spectrum, folder in REGDB_FOLDERS.items():
                mine = [s for s in shots if s.spectrum is spectrum and s.identity in label]
                lines = [f"{shot.path} {label[shot.identity]}\n" for shot in mine]
                files[f"idx/{part}_{folder.lower()}_{trial}.txt"] = "".join(lines).encode()
    return shots, files
