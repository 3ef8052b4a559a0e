"""Hetero-center triplet loss, eq. 6 (Liu et al., arXiv 2008.06223)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.losses.functional import modality_centres, pairwise_distance
from vireid.types import VireidError


class HeteroCenterTriplet(nn.Module):
    """Pull an identity's visible and infrared centres together and away from every other centre.

    For each identity i of the batch and each modality m as anchor:
    ``max(0, margin + ||c_m^i - c_other^i|| - min ||c_m^i - c_n^j||)``, the minimum over identities j != i and both
    modalities n. The DFW paper sums the 2P terms; the loss's original paper averages them.

    Args:
        margin: rho, a Euclidean distance; 0.3 in the loss's original paper, not given in the DFW paper.
        reduction: "sum" (eq. 6) or "mean".

    Examples:
        >>> import torch, vireid
        >>> embeddings = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]])
        >>> labels = torch.tensor([0, 1, 0, 1])  # two people,
        >>> modalities = torch.tensor([0, 0, 1, 1])  # each in a visible and in an infrared image
        >>> vireid.HeteroCenterTriplet(margin=0.3)(embeddings, labels, modalities)  # 4 anchors: 0.3 + 1 - 1 each
        tensor(1.2000)
    """

    def __init__(self, margin: float = 0.3, reduction: Literal["sum", "mean"] = "sum") -> None:
        super().__init__()
        self.margin, self.reduction = margin, reduction

    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        """Scalar loss of (b, d) embeddings with labels (b,) and modalities (b,).

        Raises:
            VireidError: an identity lacks a modality, the batch holds one identity only, or other shapes.
        """
        centres, identities = modality_centres(embeddings, labels, modalities)
        people = len(identities)
        if people < 2:
            raise VireidError("hetero-center triplets need two identities in the batch")
        distance = pairwise_distance(centres.flatten(0, 1), centres.flatten(0, 1))
        person = torch.arange(2 * people, device=distance.device) % people
        same = person.unsqueeze(0) == person.unsqueeze(1)
        nearest = distance.masked_fill(same, torch.inf).amin(1)
        apart = distance[:people, people:].diagonal().repeat(2)
        terms = (self.margin + apart - nearest).relu()
        return terms.sum() if self.reduction == "sum" else terms.mean()
