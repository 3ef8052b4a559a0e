"""Losses of methods that show the shared stages every image in more than one form, see `vireid.models.Method`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vireid.losses.functional import modality_centres
from vireid.losses.objective import BranchOutputs


class BridgeLoss(nn.Module):
    """Pull the centre of an identity's copies and its visible and infrared centres together.

    The mean distance of these two centres to the mean of the copies' visible and infrared centres, on normalised
    concatenated features; for `vireid.methods.Bridge`.
    """

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor | None:
        """Scalar loss of an output whose rows (r,) are images, then their copies."""
        if output.forms == 1:
            return None
        features, copies = _features(output), _copies(output, labels)
        own, _ = modality_centres(features[~copies], labels[~copies], modalities[~copies])
        between, _ = modality_centres(features[copies], labels[copies], modalities[copies])
        apart: Tensor = (own - between.mean(0)).norm(dim=2)
        return apart.mean()


def _features(output: BranchOutputs) -> Tensor:
    return normalize(torch.cat(output.pooled, 1).float())


def _copies(output: BranchOutputs, labels: Tensor) -> Tensor:
    """Boolean mask (r,) of the rows that are copies."""
    return torch.arange(len(labels), device=labels.device) >= len(labels) // output.forms
