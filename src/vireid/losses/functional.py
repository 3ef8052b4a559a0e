"""Pure maths shared by the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from vireid.types import VireidError


def require_batch(embeddings: Tensor, labels: Tensor, modalities: Tensor) -> None:
    """Raise `VireidError` unless embeddings are (b, d) and labels and modalities (b,)."""
    shapes = [tuple(x.shape) for x in (embeddings, labels, modalities)]
    if len(shapes[0]) != 2 or shapes[1:] != [shapes[0][:1]] * 2:
        found = ", ".join(map(str, shapes))
        raise VireidError(f"loss: expected embeddings (b, d) with labels and modalities (b,), got shapes {found}")


def precise(values: Tensor) -> Tensor:
    """The values in float32, or in float64 where they come in it."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def pairwise_distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (n, m) between rows of (n, d) and (m, d), in float32 or float64.

    The squares are floored at 1e-12, so that the gradient at distance zero is finite.
    """
    a, b = precise(a), precise(b)
    with torch.autocast(a.device.type, enabled=False):
        squares = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return squares.clamp_min(1e-12).sqrt()


def modality_centres(embeddings: Tensor, labels: Tensor, modalities: Tensor) -> tuple[Tensor, Tensor]:
    """Mean embedding of every identity in each modality, for any order of the batch.

    Args:
        embeddings: (b, d). labels: (b,) integers. modalities: (b,), 0 visible or 1 infrared.

    Returns:
        Centres (2, p, d), visible first, identities ascending, and the identities (p,).

    Raises:
        VireidError: an identity of the batch lacks one modality, a modality is neither 0 nor 1, or other shapes.
    """
    require_batch(embeddings, labels, modalities)
    if bool(((modalities < 0) | (modalities > 1)).any()):
        raise VireidError("modalities: expected 0 for visible and 1 for infrared images")
    embeddings = precise(embeddings)
    identities, group = labels.unique(return_inverse=True)
    cell = modalities.long() * len(identities) + group
    size = 2 * len(identities)
    counts = embeddings.new_zeros(size).index_add_(0, cell, torch.ones_like(cell, dtype=embeddings.dtype))
    if not bool((counts > 0).all()):
        lacking = identities[(counts == 0).nonzero()[0, 0] % len(identities)]
        raise VireidError(f"label {int(lacking)} has images of one modality only; every identity of a batch needs both")
    sums = embeddings.new_zeros(size, embeddings.shape[1])
    centres = sums.index_add(0, cell, embeddings) / counts.unsqueeze(1)
    return centres.view(2, len(identities), -1), identities


def centre_of(response: Tensor, temperature: float | None) -> Tensor:
    """Centre of a region of interest, the line after eq. 4.

    Args:
        response: (b, h, w), of any sign.
        temperature: of the spatial softmax whose expected position is the centre; None takes the position of the
            maximum, as printed, through which no gradient flows.

    Returns:
        (b, 2) row and column of the centre in cells of the grid, the middle of the first cell at 0.5.
    """
    batch, height, width = response.shape
    if temperature is None:
        index = response.flatten(1).argmax(1)
        return torch.stack([index // width, index % width], dim=1).float() + 0.5
    weights = (response.flatten(1) / temperature).softmax(1).view(batch, height, width)
    rows = torch.arange(height, device=response.device, dtype=torch.float32) + 0.5
    columns = torch.arange(width, device=response.device, dtype=torch.float32) + 0.5
    return torch.stack([(weights.sum(2) * rows).sum(1), (weights.sum(1) * columns).sum(1)], dim=1)
