"""Distribution consistency of generated images, as MMN's code takes it (Zhang et al., ACM Multimedia 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, linear, normalize

from vireid.losses.functional import precise
from vireid.losses.objective import BranchOutputs
from vireid.types import Modality, VireidError


class Consistency(nn.Module):
    """Pull the copies of an identity's visible and infrared images together, behind a random projection.

    The i-th visible and the i-th infrared image of an identity make a pair. With f the feature of a copy: ``||p(f_v) -
    p(f_i)||``, the mean over the pairs, summed over the branches or stripes; p is normalise, linear to ``width``,
    BatchNorm, ReLU, linear, BatchNorm, normalise. Its weights are random and fixed, as in the code, where no optimiser
    has them; here they are drawn from a seed of their own, the same in every run.

    Args:
        width: of the projection.
    """

    def __init__(self, *, width: int = 256) -> None:
        super().__init__()
        self.width = width
        self.projections: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor | None:
        """Scalar loss of an output whose rows (r,) are images, then their copies; None where there are none.

        Raises:
            VireidError: an identity has more images of one modality than of the other.
        """
        if output.forms == 1:
            return None
        copies = torch.arange(len(labels), device=labels.device) >= len(labels) // output.forms
        sides = [(copies & (modalities == modality)).nonzero().squeeze(1) for modality in Modality]
        visible, infrared = (rows[labels[rows].argsort(stable=True)] for rows in sides)
        if not torch.equal(labels[visible], labels[infrared]):
            raise VireidError("loss: consistency needs as many visible as infrared images of every identity")
        rows = torch.cat([visible, infrared])
        terms = []
        for features in output.pooled:
            a, b = self.project(precise(features[rows])).chunk(2)
            terms.append((a - b).norm(dim=1).mean())
        return torch.stack(terms).sum()

    def project(self, features: Tensor) -> Tensor:
        """Map (n, d) to unit vectors (n, width); BatchNorm takes the statistics of these n rows."""
        length = features.shape[1]
        if length not in self.projections:
            self.projections[length] = _projection(length, self.width)
        first, second, bias = (x.to(features) for x in self.projections[length])
        x = batch_norm(linear(normalize(features), first), None, None, training=True).relu()
        return normalize(batch_norm(linear(x, second, bias), None, None, training=True))


def _projection(length: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The weights of a linear layer without a bias and those of one with it, started as PyTorch starts them."""
    generator = torch.Generator().manual_seed(0)
    first, second, bias = torch.empty(width, length), torch.empty(width, width), torch.empty(width)
    for weight in (first, second):
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    nn.init.uniform_(bias, -1 / math.sqrt(width), 1 / math.sqrt(width), generator=generator)
    return first, second, bias
