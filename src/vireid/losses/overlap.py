"""Overlap penalty between the sub-networks' regions of interest, eq. 4-5."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import torch
from torch import Tensor, nn

from vireid.losses.functional import centre_of
from vireid.models.pooling import generalised_mean
from vireid.types import VireidError


class OverlapPenalty(nn.Module):
    """``(1/b) sum max(0, S - d)``, d the distance between two branches' centres of interest.

    The printed centre, the position of the maximum, has no gradient: with ``centre="hard"`` the penalty is a number
    that trains nothing. ``centre="soft"`` takes the expected position under a spatial softmax instead. S = 100 is the
    paper's best, larger than any distance on the 18 x 9 grid of its maps, so distances are measured in input pixels.
    More than two branches: the mean over their pairs.

    Args:
        image_size: (height, width) of the network input in pixels.
        separation: S in those pixels.
        temperature: of the softmax, in units of the response.
        power: exponent of the GeM over channels, eq. 4.
        relative: subtract each position's mean over the batch from the response, so that positions where a branch
            responds to every image (a border) do not count.
        standardise: scale each image's response to mean 0 and deviation 1 (after ``relative``), so that branches
            cannot escape by changing its level; the temperature is then in those units.

    Raises:
        VireidError: an unknown centre, a temperature that is not above 0, a separation below 0.

    Examples:
        >>> import torch, vireid
        >>> maps = torch.zeros(1, 2, 3, 4, 2)  # of two branches: 3 channels on a grid of 4 x 2 cells, 8 pixels each
        >>> maps[:, 0, :, 0, 0] = maps[:, 1, :, 3, 0] = 1  # which respond in the first and the last row
        >>> labels = modalities = torch.zeros(1)
        >>> vireid.OverlapPenalty((32, 16), separation=100, centre="hard")(maps, labels, modalities)  # 100 - 3 * 8
        tensor(76.)
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        separation: float = 100.0,
        centre: Literal["soft", "hard"] = "soft",
        temperature: float = 0.1,
        power: float = 3.0,
        *,
        relative: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        if centre not in ("soft", "hard"):
            raise VireidError(f"centre: expected soft or hard, got {centre!r}")
        if not temperature > 0 or not separation >= 0:
            raise VireidError(
                f"temperature, separation: expected numbers above 0 and not below 0, got {temperature}, {separation}"
            )
        self.image_size, self.separation, self.centre = image_size, separation, centre
        self.temperature, self.power = temperature, power
        self.relative, self.standardise = relative, standardise

    def forward(self, maps: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        """Scalar penalty of the branches' maps (b, branches, c, h, w); labels and modalities (b,) play no part.

        Raises:
            VireidError: fewer than two branches.
        """
        if maps.ndim != 5 or maps.shape[1] < 2:
            raise VireidError(f"maps: expected (b, branches >= 2, c, h, w), got shape {tuple(maps.shape)}")
        temperature = self.temperature if self.centre == "soft" else None
        cell = torch.tensor(
            [image / grid for image, grid in zip(self.image_size, maps.shape[3:], strict=True)],
            device=maps.device,
        )
        centres = [centre_of(self._response(branch), temperature) * cell for branch in maps.unbind(1)]
        # The floor keeps the gradient finite where two centres coincide.
        distances = [(a - b).square().sum(1).clamp_min(1e-12).sqrt() for a, b in combinations(centres, 2)]
        return (self.separation - torch.stack(distances)).relu().mean()

    def _response(self, maps: Tensor) -> Tensor:
        """Eq. 4 of one branch's maps (b, c, h, w): (b, h, w)."""
        response = generalised_mean(maps, self.power, 1)
        if self.relative:
            response = response - response.mean(0)
        if self.standardise:
            deviation = response.std((1, 2), correction=0, keepdim=True)
            response = (response - response.mean((1, 2), keepdim=True)) / deviation.clamp_min(1e-6)
        return response
