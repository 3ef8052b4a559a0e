"""Which gallery images a query may be compared with, and what its CMC counts: one rule per protocol."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from vireid.types import Features, VireidError

_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Labels:
    """What one side of a comparison is labelled with.

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


@dataclass(frozen=True)
class MatchRule:
    """What a protocol removes from a query's gallery, and what its CMC counts.

    ``identity_cmc``: rank k counts identities (only the first image of each identity in the ranking), not
    images. mAP and mINP use all images either way. ``never_compared``: (query camera, gallery camera) pairs
    whose images are skipped whatever their identity. ``skips_same_camera``: skip images of the query's own
    identity and camera. ``skips_same_image``: skip the query's own image, where queries are part of the
    gallery.
    """

    name: str
    identity_cmc: bool = False
    never_compared: tuple[tuple[int, int], ...] = ()
    skips_same_camera: bool = False
    skips_same_image: bool = False

    @property
    def needs_cameras(self) -> bool:
        """Whether the rule cannot be applied without camera labels."""
        return self.skips_same_camera or bool(self.never_compared)

    def excluded(self, query: Labels, gallery: Labels) -> Tensor | None:
        """Return (queries, gallery) bool, true where a gallery image is removed; None where none ever is."""
        masks = [
            (query.cameras == seen)[:, None] & (gallery.cameras == skipped) for seen, skipped in self.never_compared
        ]
        if self.skips_same_camera:
            same_identity = query.identities[:, None] == gallery.identities
            masks.append(same_identity & (query.cameras[:, None] == gallery.cameras))
        if self.skips_same_image:
            if query.images is None or gallery.images is None:
                raise VireidError(f"rule {self.name}: image numbers are missing; it has to know a query's own image")
            masks.append(query.images[:, None] == gallery.images)
        return reduce(torch.logical_or, masks) if masks else None


# Cameras 2 and 3 of SYSU-MM01 stand in the same room; the official code gives both one label, so a query of
# either never meets the gallery images of the other.
RULES = {
    "sysu": MatchRule("sysu", identity_cmc=True, never_compared=((3, 2), (2, 3))),
    "regdb": MatchRule("regdb"),
    "llcm": MatchRule("llcm", identity_cmc=True, skips_same_camera=True),
    "folder": MatchRule("folder"),
}
"""The rule of each protocol, by the layout's name."""
