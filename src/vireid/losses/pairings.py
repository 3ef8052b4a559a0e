"""The triplet loss of a network that shows every image in several forms, as MMN's code takes it."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from vireid.losses.objective import BranchOutputs
from vireid.losses.triplet import BatchHardTriplet
from vireid.types import Modality


class PairedTriplet(nn.Module):
    """Batch-hard triplets between one form of the visible images and one of the infrared ones (Zhang et al., MM 2021).

    The mean over all such pairings of forms, four where every image is shown twice, each a batch of its own; summed
    over the branches or stripes.

    Args:
        margin: in units of Euclidean distance.
    """

    def __init__(self, *, margin: float = 0.3) -> None:
        super().__init__()
        self.loss = BatchHardTriplet(margin)

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor:
        """Scalar loss of an output whose rows (r,) are images, then their copies."""
        form = torch.arange(len(labels), device=labels.device) // (len(labels) // output.forms)
        terms = []
        for own, other in itertools.product(range(output.forms), repeat=2):
            visible = (form == own) & (modalities == Modality.VISIBLE)
            infrared = (form == other) & (modalities == Modality.INFRARED)
            rows = torch.cat([part.nonzero().squeeze(1) for part in (visible, infrared)])
            terms += [self.loss(x[rows], labels[rows], modalities[rows]) for x in output.pooled]
        return torch.stack(terms).sum() / output.forms**2
