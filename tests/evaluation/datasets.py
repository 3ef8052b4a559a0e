"""Small data sets without files, and features for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vireid.types import Dataset, Features, Modality, Sample


def dataset(
    layout: str,
    cells: Iterable[tuple[int, int, Modality, int]],
    permutations: dict[tuple[int, int], npt.NDArray[np.int64]] | None = None,
) -> Dataset:
    """Build a test part from (camera, identity, modality, images) cells; file names are not in sorted order."""
    samples = [
        Sample(Path(f"cam{camera}/{identity:04d}/{image:04d}.jpg"), identity, camera, modality)
        for camera, identity, modality, images in cells
        for image in reversed(range(1, images + 1))
    ]
    return Dataset(layout, Path("root"), (), tuple(samples), gallery_permutations=permutations or {})


def sysu(identities: Iterable[int] = (7, 3, 12), images: int = 4, permutations: bool = True) -> Dataset:
    """A small SYSU-MM01: every identity in every camera."""
    generator = np.random.default_rng(0)
    cells = [
        (camera, identity, Modality.INFRARED if camera in (3, 6) else Modality.VISIBLE, images)
        for camera in range(1, 7)
        for identity in identities
    ]
    table = {
        (camera, identity): np.stack([generator.permutation(count) for _ in range(10)])
        for camera, identity, _, count in cells
    }
    return dataset("sysu", cells, table if permutations else {})


def features(data: Dataset, dimensions: int = 16, noise: float = 1.0, seed: int = 0) -> Features:
    """Identity centres plus noise, row by row those of ``data.test``."""
    generator = torch.Generator().manual_seed(seed)
    identities = torch.tensor([sample.identity for sample in data.test])
    centres = torch.randn(int(identities.max()) + 1, dimensions, generator=generator)
    return Features(
        centres[identities] + noise * torch.randn(len(identities), dimensions, generator=generator),
        identities,
        torch.tensor([sample.camera for sample in data.test]),
        torch.tensor([int(sample.modality) for sample in data.test]),
    )
