"""The training objective, eq. 7: lambda * L_op + L_hc_tri + L_ReID."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from vireid.config import LossConfig
from vireid.losses.hetero_center import HeteroCenterTriplet
from vireid.losses.identity import IdentityLoss
from vireid.losses.overlap import OverlapPenalty
from vireid.losses.triplet import TRIPLETS, WeightedTriplet

Penalty = tuple[float, Callable[[Tensor, Tensor, Tensor], Tensor]]


class BranchOutputs(Protocol):
    """What the objective reads of a network's output: one entry per branch."""

    @property
    def maps(self) -> tuple[Tensor, ...]: ...
    @property
    def pooled(self) -> tuple[Tensor, ...]: ...
    @property
    def logits(self) -> tuple[Tensor, ...]: ...


class Objective(nn.Module):
    """Weighted sum of the losses; L_ReID (identity + triplet) is summed over the branches.

    Args:
        config: weights and options of each part; a part of weight 0 is not computed.
        image_size: (height, width) of the network input, the unit of the overlap penalty.
        penalties: weights and losses that methods add, by name, see `vireid.models.method.Method.penalty`.
    """

    def __init__(
        self, config: LossConfig, image_size: tuple[int, int], penalties: Mapping[str, Penalty] | None = None
    ) -> None:
        super().__init__()
        self.config, self.penalties = config, dict(penalties or {})
        self.identity = IdentityLoss()
        triplet = TRIPLETS[config.triplet.kind]
        self.triplet = triplet() if issubclass(triplet, WeightedTriplet) else triplet(config.triplet.margin)
        self.hetero_center = HeteroCenterTriplet(config.hetero_center.margin, config.hetero_center.reduction)
        overlap = config.overlap
        self.overlap = OverlapPenalty(
            image_size,
            overlap.separation,
            overlap.centre,
            overlap.temperature,
            relative=overlap.relative,
            standardise=overlap.standardise,
        )

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> dict[str, Tensor]:
        """Return the unweighted parts by name and their weighted sum as "total", scalars in float32.

        Args:
            output: maps (r, d, h, w), pooled (r, d) and logits (r, classes) of every branch; r is b, or a multiple of
                it where a method made copies, which count as images of their modality.
            labels: (b,) in 0..classes-1. modalities: (b,), 0 visible or 1 infrared.
        """
        config, parts, total = self.config, {}, torch.zeros((), device=labels.device)
        copies = len(output.pooled[0]) // len(labels)
        labels, sources = labels.repeat(copies), modalities.repeat(copies)
        rows = (labels, sources)
        if config.identity > 0:
            parts["identity"] = torch.stack([self.identity(x, *rows) for x in output.logits]).sum()
            total = total + config.identity * parts["identity"]
        if config.triplet.weight > 0:
            parts["triplet"] = torch.stack([self.triplet(x, *rows) for x in output.pooled]).sum()
            total = total + config.triplet.weight * parts["triplet"]
        if config.hetero_center.weight > 0:
            parts["hetero_center"] = self.hetero_center(torch.cat(output.pooled, 1), *rows)
            if config.hetero_center.each > 0:
                each = torch.stack([self.hetero_center(x, *rows) for x in output.pooled]).sum()
                parts["hetero_center"] = parts["hetero_center"] + config.hetero_center.each * each
            total = total + config.hetero_center.weight * parts["hetero_center"]
        if config.overlap.weight > 0 and len(output.maps) > 1:
            parts["overlap"] = self.overlap(torch.stack(output.maps, 1), *rows)
            total = total + config.overlap.weight * parts["overlap"]
        kinds = sources + 2 * torch.arange(copies, device=labels.device).repeat_interleave(len(modalities))
        for name, (weight, penalty) in self.penalties.items():
            parts[name] = penalty(torch.cat(output.pooled, 1), labels, kinds)
            total = total + weight * parts[name]
        return parts | {"total": total}
