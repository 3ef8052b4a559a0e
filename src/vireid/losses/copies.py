"""Losses of methods that show the shared stages every image in more than one form, see `vireid.models.Method`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vireid.losses.functional import modality_centres
from vireid.losses.objective import BranchOutputs


class BridgeLoss(nn.Module):
    """Draw the centre of an identity's copies towards its visible and its infrared centre, and these towards it.

    The mean distance of the two to the mean of the copies' visible and infrared centres, on normalised concatenated
    features; of `vireid.methods.Bridge`.
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
    """Boolean (r,): which rows are copies."""
    return torch.arange(len(labels), device=labels.device) >= len(labels) // output.forms
