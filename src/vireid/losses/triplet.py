"""Triplet losses, the metric part of L_ReID (section 3.4): drawn at random, batch-hard, weighted-regularised."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vireid.losses.functional import pairwise_distance, require_batch
from vireid.types import VireidError


def _pairs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Boolean (b, b) masks of positive pairs (another row of the same identity) and negative pairs.

    Raises:
        VireidError: a row without a positive, or a batch of one identity.
    """
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if not bool(positive.any(1).all()) or not bool((~same).any(1).all()):
        raise VireidError("triplets need two images of every identity and two identities in the batch")
    return positive, ~same


class RandomTriplet(nn.Module):
    """Every row as anchor with one positive and one negative drawn uniformly from the batch, either modality.

    As the authors describe it: mean of ``max(0, margin + d(a, p) - d(a, n))``. Draws with PyTorch's global generator.
    """

    def __init__(self, margin: float = 0.3) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        """Scalar loss of (b, d) embeddings with labels (b,); modalities (b,) play no part."""
        require_batch(embeddings, labels, modalities)
        distance = pairwise_distance(embeddings, embeddings)
        drawn = [torch.multinomial(mask.float(), 1) for mask in _pairs(labels)]
        positive, negative = (distance.gather(1, index).squeeze(1) for index in drawn)
        return (self.margin + positive - negative).relu().mean()


class BatchHardTriplet(nn.Module):
    """Every row as anchor with its farthest positive and nearest negative (Hermans et al. 2017)."""

    def __init__(self, margin: float = 0.3) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        """Scalar loss of (b, d) embeddings with labels (b,); modalities (b,) play no part."""
        require_batch(embeddings, labels, modalities)
        distance = pairwise_distance(embeddings, embeddings)
        positive, negative = _pairs(labels)
        farthest = distance.masked_fill(~positive, -torch.inf).amax(1)
        nearest = distance.masked_fill(~negative, torch.inf).amin(1)
        return (self.margin + farthest - nearest).relu().mean()


class WeightedTriplet(nn.Module):
    """Weighted-regularised triplet (Ye et al., AGW, TPAMI 2022): softmax-weighted distances, softplus, no margin.

    For a row with distances d to its positives P (itself at distance 0 among them) and negatives N, ``softplus(sum_P w
    d - sum_N w d)``, ``w = exp(d - max d) / (sum_P exp(d - max d) + 1e-6)`` on P and ``exp(-d) / (sum_N exp(-d) +
    1e-6)`` on N. The 1e-6 is that of AGW's code: where all negatives are farther than about 12, their weights fade.
    """

    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        """Scalar loss of (b, d) embeddings with labels (b,); modalities (b,) play no part."""
        require_batch(embeddings, labels, modalities)
        distance = pairwise_distance(embeddings, embeddings)
        _, negative = _pairs(labels)
        positives = distance.masked_fill(negative, -torch.inf)
        far = _weighted(distance, positives - positives.amax(1, keepdim=True))
        near = _weighted(distance, (-distance).masked_fill(~negative, -torch.inf))
        return self.penalise(far - near).mean()

    def penalise(self, excess: Tensor) -> Tensor:
        """Loss (b,) from how much farther (b,) the positives are than the negatives."""
        return softplus(excess)


def _weighted(distance: Tensor, logits: Tensor) -> Tensor:
    """Mean (b,) of distances (b, b) with the weights exp(logits)."""
    weights = logits.exp()
    return (weights * distance).sum(1) / (weights.sum(1) + 1e-6)


class SquaredTriplet(WeightedTriplet):
    """The weighted-regularised triplet on the signed square of its difference (Ye et al., CAJ, ICCV 2021).

    ``softplus(sign(x) x^2)``, x the weighted distance of the positives less that of the negatives: what is far from
    right counts more, what is nearly right less. The square is cut off at 88, where exp leaves float32, as in CAJ's
    code.
    """

    def penalise(self, excess: Tensor) -> Tensor:
        return softplus((excess * excess.abs()).clamp(-88, 88))


TRIPLETS = {
    "random": RandomTriplet,
    "batch-hard": BatchHardTriplet,
    "weighted": WeightedTriplet,
    "squared": SquaredTriplet,
}
