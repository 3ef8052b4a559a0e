"""Identity loss, the classification part of L_ReID (section 3.4)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vireid.losses.functional import precise


class IdentityLoss(nn.Module):
    """Mean softmax cross-entropy over the training identities."""

    def forward(self, logits: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        """Score class logits (b, classes) against labels (b,) in 0..classes-1; modalities (b,) play no part."""
        return cross_entropy(precise(logits), labels)
