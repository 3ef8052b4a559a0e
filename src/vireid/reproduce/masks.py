"""How much of a response lies on the body."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vireid.data.masks import Masks
from vireid.models.weakening import channel_response


def body_share(features: Tensor, masks: Masks) -> npt.NDArray[np.float64]:
    """Return (n,) the share of the response (eq. 1) that lies on the body, in [0, 1]; NaN where there is no response.

    ``features`` (n, c, h, w), not negative; ``masks`` (n, H, W), averaged over the area of each of the h x w positions.
    """
    response = channel_response(features.detach()).cpu()
    body = adaptive_avg_pool2d(torch.from_numpy(masks).float()[:, None], (response.shape[1], response.shape[2]))[:, 0]
    share: npt.NDArray[np.float64] = ((response * body).sum((1, 2)) / response.sum((1, 2))).double().numpy()
    return share


def strong_share(features: Tensor) -> npt.NDArray[np.float64]:
    """Return (n,) the share of positions whose response (eq. 1) is at or above the image's mean, e of eq. 2."""
    response = channel_response(features.detach()).cpu()
    share: npt.NDArray[np.float64] = (response >= response.mean((1, 2), keepdim=True)).double().mean((1, 2)).numpy()
    return share
