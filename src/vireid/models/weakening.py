"""DFW: eq. 1-3 of "Dynamic Feature Weakening for Cross-Modality Person Re-Identification"."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.types import VireidError


def channel_response(features: Tensor) -> Tensor:
    """Eq. 1: mean over channels plus maximum over channels.

    Args:
        features: (b, c, h, w).

    Returns:
        (b, h, w) float32 response map f.
    """
    return features.mean(dim=1, dtype=torch.float32) + features.amax(dim=1).float()


@torch.no_grad()
def weakening_matrix(
    response: Tensor, matrix: Literal["D1", "D2", "D3"], alpha: float = 0.5, beta: float = 0.5
) -> Tensor:
    """Eq. 2: 1 below the threshold, the weakening factor at and above it; no gradient.

    D1 weakens responses at or above the image's mean by ``alpha``; D3 by e, the share of positions at or above that
    mean; D2 those at or above ``beta`` by e, the share at or above ``beta``. The response is unbounded and ``beta`` is
    in [0, 1], so D2 compares the response scaled to 0..1 per image (our reading; a constant map scales to 0).

    Args:
        response: (b, h, w) from `channel_response`.

    Returns:
        (b, h, w) of the same type, values in [0, 1].
    """
    if matrix == "D2":
        low, high = response.amin((1, 2), keepdim=True), response.amax((1, 2), keepdim=True)
        scaled = (response - low) / (high - low).clamp_min(torch.finfo(response.dtype).tiny)
        strong = scaled >= beta
    else:
        # Rounding must not lift the mean above the maximum, or a constant map would have no strong position.
        mean, peak = response.mean((1, 2), keepdim=True), response.amax((1, 2), keepdim=True)
        strong = response >= torch.minimum(mean, peak)
    if matrix == "D1":
        factor = response.new_tensor(alpha)
    else:
        factor = strong.to(response.dtype).mean((1, 2), keepdim=True)
    return torch.where(strong, factor, torch.ones_like(response))


class DynamicFeatureWeakening(nn.Module):
    """Weaken the strongest responses of a feature map so that the next layers look elsewhere too.

    A plug-in for any CNN: no parameters, deterministic, one line to insert, e.g.
    ``resnet.layer3 = nn.Sequential(resnet.layer3, DynamicFeatureWeakening())``.

    Args:
        matrix: weakening matrix of eq. 2, see `weakening_matrix`.
        alpha: factor of D1, in [0, 1]; the paper's best are 0.5 (SYSU-MM01) and 0.2 (RegDB).
        beta: threshold of D2, in [0, 1].
        gate: how eq. 3 is read, F_out = sigmoid(f * M) being one map and layer4 taking all channels. "features" passes
            on sigmoid(F * M) of all channels in F's place; "sigmoid" multiplies every channel by the map
            sigmoid(f * M); "none" multiplies every channel by M itself.
        inference: weaken in evaluation mode too; False makes the module the identity there.
        detach: let no gradient flow through f in the gate "sigmoid".

    Raises:
        VireidError: an unknown matrix or gate, alpha or beta outside [0, 1].

    Examples:
        >>> import torch, vireid
        >>> weaken = vireid.DynamicFeatureWeakening(alpha=0.2)
        >>> weaken(torch.rand(2, 8, 6, 3)).shape
        torch.Size([2, 8, 6, 3])
    """

    def __init__(
        self,
        matrix: Literal["D1", "D2", "D3"] = "D1",
        alpha: float = 0.5,
        beta: float = 0.5,
        gate: Literal["features", "sigmoid", "none"] = "sigmoid",
        inference: bool = True,
        detach: bool = False,
    ) -> None:
        super().__init__()
        if matrix not in ("D1", "D2", "D3"):
            raise VireidError(f"matrix: expected D1, D2 or D3, got {matrix!r}")
        if gate not in ("features", "sigmoid", "none"):
            raise VireidError(f"gate: expected features, sigmoid or none, got {gate!r}")
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not 0 <= value <= 1:
                raise VireidError(f"{name}: expected a number in [0, 1], got {value}")
        self.matrix, self.alpha, self.beta, self.gate, self.inference = matrix, alpha, beta, gate, inference
        self.detach = detach

    def forward(self, features: Tensor) -> Tensor:
        """Map (b, c, h, w) to the weakened (b, c, h, w) of the same type.

        Raises:
            VireidError: features of another number of dimensions.
        """
        if features.ndim != 4:
            raise VireidError(f"features: expected a map (b, c, h, w), got shape {tuple(features.shape)}")
        return self.weaken(features) if self.training or self.inference else features

    def weaken(self, features: Tensor) -> Tensor:
        """Do what `forward` does in training mode, in either mode."""
        response = channel_response(features)
        weight = weakening_matrix(response, self.matrix, self.alpha, self.beta)
        if self.gate == "sigmoid":
            weight = torch.sigmoid((response.detach() if self.detach else response) * weight)
        weakened = features * weight.unsqueeze(1).to(features.dtype)
        return torch.sigmoid(weakened) if self.gate == "features" else weakened

    def extra_repr(self) -> str:
        return f"matrix={self.matrix}, alpha={self.alpha}, beta={self.beta}, gate={self.gate}"
