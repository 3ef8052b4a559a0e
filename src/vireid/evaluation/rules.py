"""Which gallery images a query may be compared with, and what its CMC counts: the rule of a layout, applied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from vireid.layouts import BUILTIN, MatchRule, find_layout
from vireid.types import Features, VireidError

__all__ = ["RULES", "Labels", "MatchRule", "removed"]

_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Labels:
    """Labels of one side of a comparison, the queries or the gallery.

    Shapes: ``identities`` and ``cameras`` (n,) int64; ``images`` (n,) int64 numbers the images, the same number on
    both sides meaning the same image (needed by rules that skip it).
    """

    identities: Tensor
    cameras: Tensor
    images: Tensor | None = None

    def __post_init__(self) -> None:
        """Raise `VireidError` where the labels are not whole numbers, one of each kind per image."""
        for name, labels in vars(self).items():
            if name == "images" and labels is None:
                continue
            if not isinstance(labels, Tensor):
                raise VireidError(f"labels: {name}: expected a tensor of whole numbers, got {type(labels).__name__}")
            if labels.ndim != 1 or labels.dtype not in _WHOLE or len(labels) != len(self):
                kind = str(labels.dtype).removeprefix("torch.")
                raise VireidError(
                    f"labels: {name}: expected ({len(self)},) whole numbers, got {kind} of shape {tuple(labels.shape)}"
                )

    @classmethod
    def of(cls, features: Features, images: Tensor | None = None) -> Labels:
        """Return the labels of features."""
        return cls(features.identities, features.cameras, images)

    def __len__(self) -> int:
        return len(self.identities)

    def __getitem__(self, rows: slice | Tensor) -> Labels:
        images = None if self.images is None else self.images[rows]
        return Labels(self.identities[rows], self.cameras[rows], images)

    def to(self, device: torch.device) -> Labels:
        """Return the labels on ``device``."""
        images = None if self.images is None else self.images.to(device)
        return Labels(self.identities.to(device), self.cameras.to(device), images)


def removed(rule: MatchRule, query: Labels, gallery: Labels) -> Tensor | None:
    """Return (queries, gallery) bool, true where a rule removes a gallery image; None where it never does."""
    masks = [(query.cameras == seen)[:, None] & (gallery.cameras == skipped) for seen, skipped in rule.never_compared]
    if rule.skips_same_camera:
        same_identity = query.identities[:, None] == gallery.identities
        masks.append(same_identity & (query.cameras[:, None] == gallery.cameras))
    if rule.skips_same_image:
        if query.images is None or gallery.images is None:
            raise VireidError(f"rule {rule.name}: image numbers are missing; it has to know a query's own image")
        masks.append(query.images[:, None] == gallery.images)
    return reduce(torch.logical_or, masks) if masks else None


RULES = {name: find_layout(name).rule for name in BUILTIN}
"""The rule of each layout of this package, by its name."""
