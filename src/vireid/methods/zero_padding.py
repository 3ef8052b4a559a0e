"""Deep zero-padding (Wu et al., ICCV 2017): each modality in a channel of its own, the others zero."""

from __future__ import annotations

import torch
from torch import Tensor

from vireid.models.method import Method
from vireid.types import Modality


class ZeroPadding(Method):
    """Grey visible images in the first channel, infrared ones in the second, zeros elsewhere.

    One stream (``model.shared_from: input``) can then learn filters of one modality. Grey is the mean of the normalised
    channels; zero is the mean colour of normalised images.
    """

    def images(self, images: Tensor, modality: Modality) -> Tensor:
        grey = images.mean(1, keepdim=True)
        zero = torch.zeros_like(grey)
        parts = (grey, zero, zero) if modality is Modality.VISIBLE else (zero, grey, zero)
        return torch.cat(parts, 1)
