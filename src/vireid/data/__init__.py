"""Records, pixels and batches: from a data set's folder to the input tensors of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.data.augment import Augment
    from vireid.data.layouts import open_dataset, open_pixels
    from vireid.data.pixels import PixelStore
    from vireid.data.rendered import render
    from vireid.data.sampler import CrossModalitySampler

__all__ = ["Augment", "CrossModalitySampler", "PixelStore", "open_dataset", "open_pixels", "render"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Augment": "augment",
        "CrossModalitySampler": "sampler",
        "PixelStore": "pixels",
        "open_dataset": "layouts",
        "open_pixels": "layouts",
        "render": "rendered",
    },
)
