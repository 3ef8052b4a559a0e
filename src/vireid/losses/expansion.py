"""The losses of diverse embedding expansion, as DEEN's code takes them (Zhang & Wang, CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vireid.losses.functional import modality_centres, pairwise_distance, precise
from vireid.losses.objective import BranchOutputs


class CentrePairMargin(nn.Module):
    """Centre-guided pair mining: an expanded centre is nearer to the other modality's than to its own or a stranger's.

    With v, i the visible and infrared centre of an identity, v', i' those of its copies, and [x]+ = max(0, x): for v'
    ``[m + |i v'| - |v v'|]+ + ([m + |i v'| - n(v')]+ + [m + |i v'| - n(v)]+) / 2``, n(c) the distance of c to the
    nearest centre of its kind; no gradient through |v v'|. For i' with v and i exchanged. Mean of both and over the
    identities; summed over the forms of copies.

    Args:
        margin: m, in units of Euclidean distance.
    """

    def __init__(self, *, margin: float = 0.2) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor | None:
        """Scalar loss of an output whose rows (r,) are images, then their copies; None where there are none."""
        if output.forms == 1:
            return None
        features = torch.cat(output.pooled, 1)
        sides = zip(*(x.chunk(output.forms) for x in (features, labels, modalities)), strict=True)
        own, *copies = (modality_centres(*rows)[0] for rows in sides)
        return torch.stack([self._form(own, copy) for copy in copies]).sum()

    def _form(self, own: Tensor, copy: Tensor) -> Tensor:
        terms = []
        for side in (0, 1):
            other = _paired(own[1 - side], copy[side])
            same = _paired(own[side], copy[side]).detach()
            strangers = [_nearest(copy[side]), _nearest(own[side])]
            terms.append((self.margin + other - same).relu().mean())
            terms += [0.5 * (self.margin + other - far).relu().mean() for far in strangers]
        return torch.stack(terms).sum() / 2


class Orthogonality(nn.Module):
    """Keep the forms of copies apart: the sum of the inner products of an image's copies, over the number of rows."""

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor | None:
        """Scalar loss of rows (r,) of images, then of their copies in two forms or more; None where there are none."""
        if output.forms == 1:
            return None
        features = torch.cat(output.pooled, 1)
        copies = torch.stack(precise(features).chunk(output.forms)[1:], 1)
        return (copies @ copies.mT).triu(diagonal=1).sum() / len(features)


def _paired(a: Tensor, b: Tensor) -> Tensor:
    """Distances (p,) of the rows of (p, d) and (p, d) with the same number."""
    return pairwise_distance(a, b).diagonal()


def _nearest(centres: Tensor) -> Tensor:
    """Distance (p,) of each of (p, d) to the nearest other one."""
    distance = pairwise_distance(centres, centres)
    return distance.masked_fill(torch.eye(len(centres), dtype=torch.bool, device=centres.device), torch.inf).amin(1)
