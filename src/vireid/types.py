"""The data the stages pass to each other, and `VireidError`, the one error meant for the user.

``records -> pixels -> batches -> features -> ranking -> numbers, pictures, answers``

Only the standard library is loaded here, so that catching `VireidError` does not load PyTorch.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


class VireidError(ValueError):
    """A user error that one line can explain; the command line prints it and exits with 2.

    Examples:
        >>> import vireid
        >>> try:
        ...     vireid.open_dataset("no-such-folder")
        ... except vireid.VireidError as error:
        ...     print(error)
        no-such-folder: expected the folder of a data set, but it does not exist
    """


class Modality(enum.IntEnum):
    """Which kind of camera took an image. The integer is the stream index of the network.

    Examples:
        >>> import vireid
        >>> vireid.Modality.INFRARED.other
        <Modality.VISIBLE: 0>
    """

    VISIBLE = 0
    INFRARED = 1

    @property
    def other(self) -> Modality:
        """The modality of the other side of a search."""
        return Modality(1 - self)

    @property
    def across(self) -> str:
        """The direction of a search with its images in those of the other, such as ``visible-to-infrared``."""
        return f"{self}-to-{self.other}"

    def __str__(self) -> str:
        return self.name.lower()


class FeatureKind(str, enum.Enum):
    """Kind of feature; the value is its name in results and tables."""

    AFTER_BNNECK = "after BNNeck"
    """The paper's retrieval feature."""
    BEFORE_BNNECK = "before BNNeck"
    OUTPUT = "model output"
    """The output of a model that was not trained here."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Sample:
    """One image's record. ``identity`` and ``camera`` are the numbers of the data set's own layout.

    Examples:
        >>> from pathlib import Path
        >>> import vireid
        >>> sample = vireid.Sample(Path("day/7.jpg"), identity=7, camera=1, modality=vireid.Modality.VISIBLE)
        >>> print(sample.modality)
        visible
    """

    path: Path
    identity: int
    camera: int
    modality: Modality


@dataclass(frozen=True)
class Dataset:
    """One data set as its layout gives it, already split into training and test identities.

    ``layout`` is the name or ``package.module:NAME`` by which `vireid.layouts.find_layout` finds its rules. ``queries``
    are the rows of ``test`` that are queries, the others being the gallery, if the set itself defines them. ``labels``
    is the file with the identities, if the paths do not hold them; ``names`` holds the identities' names, if they are
    not the names of the images' folders.
    ``gallery_permutations`` holds the official SYSU-MM01 draws: ``[(camera, identity)]`` is an int array of
    shape (trials, images), 0-based positions in the sorted file list of that camera and identity.
    ``trial`` is the number of the RegDB split (1 to 10), None elsewhere. ``rendered`` is the record of a synthetic set
    without files, whose samples' paths name no files.

    Examples:
        >>> import vireid
        >>> data = vireid.render("regdb", 4, images=1, height=48, width=24)
        >>> data.layout, data.trial, len(data.train), len(data.test)
        ('regdb', 1, 4, 4)
    """

    layout: str
    root: Path
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    trial: int | None = None
    gallery_permutations: dict[tuple[int, int], npt.NDArray[np.int64]] = field(default_factory=dict, repr=False)
    rendered: dict[str, Any] | None = None
    queries: tuple[int, ...] | None = None
    labels: Path | None = None
    names: dict[int, str] | None = field(default=None, repr=False)

    @property
    def source(self) -> Path:
        """Path it was opened from: its folder, or the file that lists its images."""
        return self.labels or self.root

    @property
    def name(self) -> str:
        """Name in reports and result folders."""
        return self.source.resolve().name

    def identity_name(self, sample: Sample) -> str:
        """The identity of one of its samples as the data set spells it."""
        return sample.path.parent.name if self.names is None else self.names[sample.identity]


@dataclass(frozen=True)
class Features:
    """Embeddings and the labels that evaluation needs, row by row.

    Shapes: ``embeddings`` (n, d) floating point; ``identities``, ``cameras`` and ``modalities`` (n,) int64.

    Raises:
        VireidError: embeddings that are not (n, d), or labels that are not (n,).

    Examples:
        >>> import torch, vireid
        >>> features = vireid.Features(
        ...     torch.randn(4, 8),
        ...     identities=torch.tensor([7, 7, 9, 9]),
        ...     cameras=torch.tensor([1, 3, 1, 3]),
        ...     modalities=torch.tensor([0, 1, 0, 1]),
        ... )
        >>> features[features.modalities == vireid.Modality.VISIBLE].identities
        tensor([7, 9])
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
