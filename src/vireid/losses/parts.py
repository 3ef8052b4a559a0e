"""The losses of eq. 7 on a network's output: each picks the tensors it is computed on."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vireid.losses.functional import precise
from vireid.losses.hetero_center import HeteroCenterTriplet
from vireid.losses.identity import IdentityLoss
from vireid.losses.objective import BranchOutputs
from vireid.losses.overlap import OverlapPenalty
from vireid.losses.triplet import TRIPLETS, WeightedTriplet


class Identity(nn.Module):
    """`IdentityLoss` of every branch's class scores, summed; the classification part of L_ReID."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = IdentityLoss()

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor:
        return torch.stack([self.loss(x, labels, modalities) for x in output.logits]).sum()


class SmoothedIdentity(nn.Module):
    """`Identity` with smoothed labels: ``1 - smoothing`` on the identity and ``smoothing`` spread over all of them.

    HCT's code has it on RegDB, with 0.1, in the place of `Identity` (whose weight a recipe then sets to 0).
    """

    def __init__(self, *, smoothing: Annotated[float, Field(ge=0, le=1)] = 0.1) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor:
        scores = (precise(x) for x in output.logits)
        return torch.stack([cross_entropy(x, labels, label_smoothing=self.smoothing) for x in scores]).sum()


class Triplet(nn.Module):
    """A triplet loss of every branch's feature before the BNNeck, summed; the metric part of L_ReID."""

    def __init__(
        self, *, kind: Literal["random", "batch-hard", "weighted", "squared"] = "batch-hard", margin: float = 0.3
    ) -> None:
        super().__init__()
        triplet = TRIPLETS[kind]
        self.loss = triplet() if issubclass(triplet, WeightedTriplet) else triplet(margin)

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor:
        return torch.stack([self.loss(x, labels, modalities) for x in output.pooled]).sum()


class HeteroCenter(nn.Module):
    """`HeteroCenterTriplet` of the concatenated feature before the BNNeck, plus ``each`` times that of every branch."""

    def __init__(self, *, margin: float = 0.3, reduction: Literal["sum", "mean"] = "sum", each: float = 0.0) -> None:
        super().__init__()
        self.loss, self.each = HeteroCenterTriplet(margin, reduction), each

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor:
        whole: Tensor = self.loss(torch.cat(output.pooled, 1), labels, modalities)
        if self.each == 0:
            return whole
        return whole + self.each * torch.stack([self.loss(x, labels, modalities) for x in output.pooled]).sum()


class Overlap(nn.Module):
    """`OverlapPenalty` of the branches' maps; none with one branch."""

    def __init__(
        self,
        image_size: tuple[int, int],
        *,
        separation: float = 100.0,
        centre: Literal["soft", "hard"] = "soft",
        temperature: float = 0.1,
        relative: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self.loss = OverlapPenalty(
            image_size, separation, centre, temperature, relative=relative, standardise=standardise
        )

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor | None:
        return self.loss(torch.stack(output.maps, 1), labels, modalities) if len(output.maps) > 1 else None
