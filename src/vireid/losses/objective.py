"""The training objective, a weighted sum of losses; the paper's is eq. 7, lambda * L_op + L_hc_tri + L_ReID."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vireid.types import VireidError


class BranchOutputs(Protocol):
    """The part of a network's output that losses read, see `vireid.models.Output`."""

    @property
    def maps(self) -> tuple[Tensor, ...]: ...
    @property
    def pooled(self) -> tuple[Tensor, ...]: ...
    @property
    def normed(self) -> tuple[Tensor, ...]: ...
    @property
    def logits(self) -> tuple[Tensor, ...]: ...
    @property
    def forms(self) -> int: ...


class EmbeddingLoss(Protocol):
    """A loss on the concatenated feature (r, d) of the branches before the BNNeck.

    Labels (r,) are in 0..classes-1, modalities (r,) 0 visible or 1 infrared; it returns a scalar.
    """

    def __call__(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor: ...


class OutputLoss(Protocol):
    """A loss on the network's output of r rows, as are labels and modalities; None if it does not apply to it."""

    def __call__(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> Tensor | None: ...


FORMS = "a torch.nn.Module whose forward takes (embeddings, labels, modalities) or (output, labels, modalities)"
"""What a loss is, in words for errors."""
_TAKEN = ("step", "epoch", "lr", "total", "images_per_second")


def is_loss(found: Any) -> bool:
    """Whether a class is a loss: its ``forward`` has the arguments of `EmbeddingLoss` or `OutputLoss`."""
    return isinstance(found, type) and issubclass(found, nn.Module) and _reads(found) in ("embeddings", "output")


def _reads(loss: type[nn.Module]) -> str | None:
    """The name of a loss's first argument; None if it does not have the arguments of a loss."""
    names = [p.name for p in inspect.signature(loss.forward).parameters.values() if p.default is p.empty]
    return names[1] if names[2:] == ["labels", "modalities"] else None


class Objective(nn.Module):
    """Weighted sum of losses.

    Args:
        losses: weight above 0 and loss, an `EmbeddingLoss` or `OutputLoss`, by name, in the order of computation.

    Raises:
        VireidError: no loss, or a loss with the name of another number in metrics.jsonl.
    """

    def __init__(self, losses: Mapping[str, tuple[float, nn.Module]]) -> None:
        super().__init__()
        if not losses:
            raise VireidError("loss: all weights are 0; expected one above 0")
        if taken := [name for name in losses if name in _TAKEN]:
            raise VireidError(f"loss.{taken[0]}: metrics.jsonl has another number of this name; rename the loss")
        self.weights = {name: weight for name, (weight, _) in losses.items()}
        self.losses = nn.ModuleList(loss for _, loss in losses.values())  # a list: names may hold dots
        self.reads = [_reads(type(loss)) for loss in self.losses]

    def forward(self, output: BranchOutputs, labels: Tensor, modalities: Tensor) -> dict[str, Tensor]:
        """Return the unweighted parts by name and their weighted sum as "total", scalars.

        Args:
            output: maps (r, d, h, w), pooled (r, d) and logits (r, classes) of every branch; r is b, or a multiple of
                b with a method's copies, which count as images of their modality.
            labels: (b,) in 0..classes-1. modalities: (b,), 0 visible or 1 infrared.

        Raises:
            VireidError: a loss returns something other than a scalar tensor, or no loss applies to the output.
        """
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=labels.device)
        repeats = len(output.pooled[0]) // len(labels)
        rows = (labels.repeat(repeats), modalities.repeat(repeats))
        for (name, weight), reads, loss in zip(self.weights.items(), self.reads, self.losses, strict=True):
            value = loss(output if reads == "output" else torch.cat(output.pooled, 1), *rows)
            if value is None:
                continue
            if not isinstance(value, Tensor) or value.ndim > 0:
                found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise VireidError(f"loss.{name}: expected a scalar tensor, got {found}; return a mean or a sum")
            parts[name] = value
            total = total + weight * value
        if not parts:
            names = ", ".join(self.weights)
            raise VireidError(f"loss: {names} computes nothing on this network's output; give another loss a weight")
        return parts | {"total": total}
