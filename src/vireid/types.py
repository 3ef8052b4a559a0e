"""What the stages hand to one another: samples, features, rankings.

``records -> pixels -> batches -> features -> ranking -> numbers, pictures, answers``
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # the command line needs the names below before it needs PyTorch
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

Layout = Literal["sysu", "regdb", "llcm", "folder"]


class VireidError(Exception):
    """A mistake of the user's that one line can explain; the command line prints it and exits with 2."""


class Modality(enum.IntEnum):
    """Which kind of camera took an image. The integer is the stream index of the network."""

    VISIBLE = 0
    INFRARED = 1

    @property
    def other(self) -> Modality:
        return Modality(1 - self)

    @property
    def across(self) -> str:
        """The direction of a search with its images in those of the other, such as ``visible-to-infrared``."""
        return f"{self}-to-{self.other}"

    def __str__(self) -> str:
        return self.name.lower()


class FeatureKind(str, enum.Enum):
    """Which feature of a model; the value is what results and tables call it."""

    AFTER_BNNECK = "after BNNeck"
    """The paper's retrieval feature."""
    BEFORE_BNNECK = "before BNNeck"
    OUTPUT = "model output"
    """Of a model that was not trained here: what it returns."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Sample:
    """One image's record. ``identity`` and ``camera`` are the numbers of the data set's own layout."""

    path: Path
    identity: int
    camera: int
    modality: Modality


@dataclass(frozen=True)
class Dataset:
    """One data set as its layout gives it, already split into training and test identities.

    ``gallery_permutations`` holds the official SYSU-MM01 draws: ``[(camera, identity)]`` is an int array of
    shape (trials, images), 0-based positions in the sorted file list of that camera and identity.
    ``trial`` is the number of the RegDB split (1 to 10), None elsewhere. ``rendered`` is the record of a synthetic set
    without files, whose samples' paths name none.
    """

    layout: Layout
    root: Path
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    trial: int | None = None
    gallery_permutations: dict[tuple[int, int], npt.NDArray[np.int64]] = field(default_factory=dict, repr=False)
    rendered: dict[str, Any] | None = None


@dataclass(frozen=True)
class Features:
    """Embeddings and the labels that evaluation needs, row by row.

    Shapes: ``embeddings`` (n, d) floating point; ``identities``, ``cameras`` and ``modalities`` (n,) int64.
    """

    embeddings: Tensor
    identities: Tensor
    cameras: Tensor
    modalities: Tensor

    def __post_init__(self) -> None:
        rows = len(self.embeddings)
        if self.embeddings.ndim != 2:
            raise VireidError(f"embeddings: expected 2 dimensions (n, d), got shape {tuple(self.embeddings.shape)}")
        for name in ("identities", "cameras", "modalities"):
            shape = tuple(getattr(self, name).shape)
            if shape != (rows,):
                raise VireidError(f"{name}: expected shape ({rows},) to match embeddings, got {shape}")

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, rows: Tensor | npt.NDArray[np.int64] | slice) -> Features:
        """Return the given rows, in the given order."""
        import torch

        index = rows if isinstance(rows, slice) else torch.as_tensor(rows)
        return Features(self.embeddings[index], self.identities[index], self.cameras[index], self.modalities[index])
