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
    """Return (n,) the share of the response (eq. 1) above the image's least one that lies on the body, in [0, 1].

    A constant part, the same everywhere, does not count; NaN where there is nothing else. ``features`` (n, c, h, w);
    ``masks`` (n, H, W), averaged over the area of each of the h x w positions.
    """
    response, body = _maps(features, masks)
    response = response - response.amin((1, 2), keepdim=True)
    share: npt.NDArray[np.float64] = ((response * body).sum((1, 2)) / response.sum((1, 2))).numpy()
    return share


def body_correlation(features: Tensor, masks: Masks) -> npt.NDArray[np.float64]:
    """Return (n,) Pearson's correlation over positions of response (eq. 1) and body; NaN where one is constant."""
    response, body = (x - x.mean((1, 2), keepdim=True) for x in _maps(features, masks))
    norms = response.norm(dim=(1, 2)) * body.norm(dim=(1, 2))
    correlation: npt.NDArray[np.float64] = ((response * body).sum((1, 2)) / norms).numpy()
    return correlation


def strong_share(features: Tensor) -> npt.NDArray[np.float64]:
    """Return (n,), the share of positions whose response (eq. 1) is at or above the image's mean: e in eq. 2."""
    response = channel_response(features.detach()).cpu()
    share: npt.NDArray[np.float64] = (response >= response.mean((1, 2), keepdim=True)).double().mean((1, 2)).numpy()
    return share


def _maps(features: Tensor, masks: Masks) -> tuple[Tensor, Tensor]:
    response = channel_response(features.detach()).double().cpu()
    body = torch.from_numpy(masks).double()[:, None]
    return response, adaptive_avg_pool2d(body, (response.shape[1], response.shape[2]))[:, 0]
