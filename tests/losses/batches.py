"""Batches the loss tests share: unequal counts, labels out of order and with gaps, rows shuffled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Batch(NamedTuple):
    embeddings: Tensor
    labels: Tensor
    modalities: Tensor

    def shuffled(self, seed: int) -> Batch:
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(seed))
        return Batch(*(x[order] for x in self))

    @property
    def rows(self) -> npt.NDArray[np.float64]:
        return self.embeddings.detach().double().numpy()

    @property
    def lists(self) -> tuple[list[int], list[int]]:
        return self.labels.tolist(), self.modalities.tolist()


def random_batch(seed: int, dimensions: int = 5, scale: float = 1.0) -> Batch:
    """Two to five identities with one to four images in each modality, in random order."""
    generator = torch.Generator().manual_seed(seed)
    people = int(torch.randint(2, 6, (1,), generator=generator))
    names = torch.randperm(40, generator=generator)[:people]
    counts = torch.randint(1, 5, (people, 2), generator=generator)
    labels = torch.cat([names[i].repeat(int(counts[i, m])) for i in range(people) for m in (0, 1)])
    modalities = torch.cat([torch.full((int(counts[i, m]),), m) for i in range(people) for m in (0, 1)])
    embeddings = torch.randn(len(labels), dimensions, generator=generator) * scale
    return Batch(embeddings, labels, modalities).shuffled(seed)
