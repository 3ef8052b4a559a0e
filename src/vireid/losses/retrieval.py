"""Cross-modality retrieval loss: a ranking loss on soft ranks, as MCJA's code takes it (Liang et al., TCSVT 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, normalize

from vireid.losses.functional import precise
from vireid.losses.objective import BranchOutputs
from vireid.types import Modality


class CrossModalityRetrieval(nn.Module):
    """Rank the other modality's images of the batch by their distance: matches to rank 1, all others to the last.

    For every image as a query, d = (1 - cosine) / 2 to the n images of the other modality, on the feature after the
    BNNeck: the mean of ``|soft_rank(d) - t|``, t = 1 for a match and n for another identity, over all pairs; the mean
    of both modalities. Queries without a match, or with matches alone, do not count.

    Args:
        strength: of `soft_rank`.
    """

    def __init__(self, *, strength: float = 0.5) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor:
        """Scalar loss of an output of b rows; 0 where no query counts."""
        features = torch.cat(output.normed, 1)
        features = normalize(precise(features))
        terms = []
        for modality in Modality:
            queries, gallery = modalities == modality, modalities != modality
            match = labels[queries, None] == labels[None, gallery]
            counted = match.any(1) & ~match.all(1)
            if not bool(counted.any()):
                continue
            match = match[counted]
            distance = (1 - features[queries][counted] @ features[gallery].T) / 2
            target = torch.where(match, 1.0, float(match.shape[1])).to(distance)
            terms.append(l1_loss(soft_rank(distance, self.strength), target))
        return torch.stack(terms).mean() if terms else features.sum() * 0


def soft_rank(values: Tensor, strength: float) -> Tensor:
    """Ascending soft ranks (b, n) of the rows of (b, n), between 1 and n (Blondel et al., ICML 2020, quadratic form).

    The Euclidean projection of ``values / strength`` onto the permutahedron of (1, ..., n): sort descending, subtract
    the isotonic regression of what is left after (n, ..., 1), and undo the sorting. Towards strength 0 the ranks
    become the hard ones. The regression is the min-max formula ``min_{j <= i} max_{k >= i} mean(s[j..k])``, whose
    gradient is that of the projection; memory grows with n^3.
    """
    count = values.shape[1]
    ordered, order = (values / strength).sort(1, descending=True)
    ranks = torch.arange(count, 0, -1, dtype=values.dtype, device=values.device)
    solution = ordered - _falling_regression(ordered - ranks)
    return solution.gather(1, order.argsort(1))


def _falling_regression(values: Tensor) -> Tensor:
    """The non-increasing rows (b, n) nearest to those of (b, n)."""
    count = values.shape[1]
    place = torch.arange(count, device=values.device)
    sums = torch.nn.functional.pad(values.cumsum(1), (1, 0))
    lengths = (place[None, :] - place[:, None] + 1).clamp_min(1)
    means = (sums[:, None, 1:] - sums[:, :-1, None]) / lengths  # [b, j, k]: the mean of values j to k
    means = means.masked_fill(place[None, :] < place[:, None], -torch.inf)
    best = means.flip(2).cummax(2).values.flip(2)  # [b, j, i]: the largest over k >= i
    best = best.masked_fill(place[None, :] < place[:, None], torch.inf)  # j <= i alone
    return best.amin(1)
