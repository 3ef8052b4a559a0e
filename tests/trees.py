"""Writers of tiny data sets in all layouts: noise images, colour for visible and grey for infrared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

SIZE = (24, 12)
VISIBLE_CAMERAS = (1, 2, 4, 5)


def write_image(path: Path, random: np.random.Generator, grey: bool, size: tuple[int, int] = SIZE) -> None:
    """Write one noise image of (height, width) pixels in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(path)


def write_sysu(
    root: Path,
    train: Sequence[int] = (1, 2, 3),
    val: Sequence[int] = (5,),
    test: Sequence[int] = (4, 7, 9),
    images: int = 2,
    cameras: Iterable[int] = range(1, 7),
    permutations: bool = True,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
) -> Path:
    """SYSU-MM01 layout; every identity has ``images`` images in every camera."""
    random = np.random.default_rng(seed)
    cameras = tuple(cameras)
    for identity in (*train, *val, *test):
        for camera in cameras:
            for number in range(1, images + 1):
                path = root / f"cam{camera}" / f"{identity:04d}" / f"{number:04d}.jpg"
                write_image(path, random, camera not in VISIBLE_CAMERAS, size)
    write_text(root / "exp" / "train_id.txt", ",".join(map(str, train)))
    write_text(root / "exp" / "val_id.txt", ",".join(map(str, val)))
    write_text(root / "exp" / "test_id.txt", ",".join(map(str, test)))
    if permutations:
        cells = np.empty((6, 1), dtype=object)
        for camera in range(1, 7):
            column = np.empty((max((*train, *val, *test)), 1), dtype=object)
            for identity in range(1, len(column) + 1):
                count = images if camera in cameras and identity in (*train, *val, *test) else 0
                draws = [random.permutation(count) + 1 for _ in range(10)]
                column[identity - 1, 0] = np.array(draws, dtype=np.uint8)
            cells[camera - 1, 0] = column
        scipy.io.savemat(root / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": cells})
    return root


def write_regdb(
    root: Path,
    identities: int = 6,
    images: int = 2,
    trials: Iterable[int] = range(1, 11),
    size: tuple[int, int] = SIZE,
    seed: int = 0,
) -> Path:
    """RegDB layout; identities count from 1, each trial trains on a random half."""
    random = np.random.default_rng(seed)
    names: dict[tuple[str, int], list[str]] = {}
    for folder in ("Visible", "Thermal"):
        for identity in range(1, identities + 1):
            for number in range(images):
                name = f"{folder}/{identity}/male_back_{folder[0].lower()}_{number:05d}_{identity}.bmp"
                write_image(root / name, random, folder == "Thermal", size)
                names.setdefault((folder, identity), []).append(name)
    for trial in trials:
        order = [int(i) + 1 for i in random.permutation(identities)]
        for part, chosen in (("train", order[: identities // 2]), ("test", order[identities // 2 :])):
            for folder in ("Visible", "Thermal"):
                lines = [f"{name} {i}" for i, who in enumerate(chosen) for name in names[folder, who]]
                write_text(root / "idx" / f"{part}_{folder.lower()}_{trial}.txt", "\n".join(lines) + "\n")
    return root


def write_llcm(
    root: Path,
    train: Sequence[int] = (1, 2, 4),
    test: Sequence[int] = (3, 5),
    images: int = 2,
    cameras: Sequence[int] = (1, 3),
    camera_folders: bool = False,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
) -> Path:
    """LLCM layout; ``camera_folders`` puts the training images in ``camN`` folders as well."""
    random = np.random.default_rng(seed)
    for folder in ("vis", "nir"):
        lines = []
        for identity in (*train, *test):
            for camera in cameras:
                for number in range(images):
                    name = f"{identity:04d}/{identity:04d}_c{camera:02d}_s{number}_f{number}_{folder}.jpg"
                    inner = f"cam{camera}/" if camera_folders or identity in test else ""
                    name = f"{'test_' if identity in test else ''}{folder}/{inner}{name}"
                    write_image(root / name, random, folder == "nir", size)
                    if identity in train:
                        lines.append(f"{name} {train.index(identity)}")
        write_text(root / "idx" / f"train_{folder}.txt", "\n".join(lines) + "\n")
    write_text(root / "idx" / "test_id.txt", ",".join(map(str, test)))
    return root


def write_folder(
    root: Path,
    identities: Sequence[str] = ("ann", "bob", "eve"),
    images: int = 2,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
) -> Path:
    """Plain folders; every identity has ``images`` PNG images per modality."""
    random = np.random.default_rng(seed)
    for folder in ("visible", "infrared"):
        for identity in identities:
            for number in range(images):
                path = root / folder / identity / f"{number}.png"
                write_image(path, random, folder == "infrared", size)
    return root


def write_market(
    root: Path,
    train: Sequence[int] = (2, 7, 11),
    test: Sequence[int] = (1, 3),
    images: int = 2,
    cameras: Sequence[int] = (1, 2),
    size: tuple[int, int] = SIZE,
    seed: int = 0,
) -> Path:
    """Market-1501 layout: one query per test identity and camera, ``images`` others; a distractor and a junk box."""
    random = np.random.default_rng(seed)
    people = {"bounding_box_train": train, "query": test, "bounding_box_test": (*test, 0, -1)}
    for folder, identities in people.items():
        for identity in identities:
            for camera in cameras if identity > 0 else cameras[:1]:
                for number in range(images if identity > 0 and folder != "query" else 1):
                    frame = 100 * number + (50 if folder == "query" else 0)
                    spelled = "-1" if identity < 0 else f"{identity:04d}"
                    write_image(root / folder / f"{spelled}_c{camera}s1_{frame:06d}_00.jpg", random, False, size)
    return root


def write_manifest(
    root: Path,
    train: Sequence[str] = ("ann", "bob", "eve"),
    test: Sequence[str] = ("kim", "zoe"),
    images: int = 2,
    modalities: Sequence[str] = ("visible", "infrared"),
    queries: bool = False,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
) -> Path:
    """Images in one folder and ``list.csv``, which is returned: ``images`` of a person in each of two cameras of a
    modality; with ``queries`` the first of a test person by a camera is a query and the rest is the gallery."""
    random = np.random.default_rng(seed)
    lines = ["path,identity,camera,modality,split"]
    for identity in (*train, *test):
        for first, modality in enumerate(modalities):
            for camera in (10 * first + 1, 10 * first + 2):
                for number in range(images):
                    path = f"images/{modality[0]}-{identity}-{camera}-{number}.png"
                    write_image(root / path, random, modality == "infrared", size)
                    split = "train" if identity in train else "test"
                    if queries and split == "test":
                        split = "query" if number == 0 else "gallery"
                    lines.append(f"{path},{identity},{camera},{modality},{split}")
    write_text(root / "list.csv", "\n".join(lines) + "\n")
    return root / "list.csv"


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
