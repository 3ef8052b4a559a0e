"""Losses from outside: one on embeddings, with parameters, and one on the network's output."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn


class Centre(nn.Module):
    """Mean squared distance of every embedding to a learned centre of its identity (Wen et al., ECCV 2016)."""

    def __init__(self, classes: int, *, dimension: Annotated[int, Field(ge=1)]) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(classes, dimension))

    def forward(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        return (embeddings - self.centres[labels]).square().mean()


class Confidence(nn.Module):
    """Mean entropy of the branches' class scores; no entry point names it."""

    def forward(self, output: Any, labels: Tensor, modalities: Tensor) -> Tensor:
        probabilities = [scores.softmax(1) for scores in output.logits]
        return -torch.stack([(p * p.clamp_min(1e-12).log()).sum(1).mean() for p in probabilities]).mean()
