"""The losses of eq. 4-7 and of the methods, and the objective that sums them; docs/adding-a-loss.md adds one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.losses.hetero_center import HeteroCenterTriplet
    from vireid.losses.identity import IdentityLoss
    from vireid.losses.objective import EmbeddingLoss, Objective, OutputLoss
    from vireid.losses.overlap import OverlapPenalty
    from vireid.losses.triplet import BatchHardTriplet, RandomTriplet, SquaredTriplet, WeightedTriplet

__all__ = [
    "LOSSES",
    "BatchHardTriplet",
    "EmbeddingLoss",
    "HeteroCenterTriplet",
    "IdentityLoss",
    "Objective",
    "OutputLoss",
    "OverlapPenalty",
    "RandomTriplet",
    "SquaredTriplet",
    "WeightedTriplet",
]

LOSSES = {
    "identity": "vireid.losses.parts:Identity",
    "triplet": "vireid.losses.parts:Triplet",
    "hetero_center": "vireid.losses.parts:HeteroCenter",
    "overlap": "vireid.losses.parts:Overlap",
    "bridge": "vireid.losses.copies:BridgeLoss",
    "smoothed_identity": "vireid.losses.parts:SmoothedIdentity",
    "paired_triplet": "vireid.losses.pairings:PairedTriplet",
    "consistency": "vireid.losses.consistency:Consistency",
    "pair_margin": "vireid.losses.expansion:CentrePairMargin",
    "orthogonality": "vireid.losses.expansion:Orthogonality",
    "retrieval": "vireid.losses.retrieval:CrossModalityRetrieval",
}
"""The built-in losses that a recipe names in ``loss``; `vireid.plugins.find` imports the class."""

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BatchHardTriplet": "triplet",
        "EmbeddingLoss": "objective",
        "HeteroCenterTriplet": "hetero_center",
        "IdentityLoss": "identity",
        "Objective": "objective",
        "OutputLoss": "objective",
        "OverlapPenalty": "overlap",
        "RandomTriplet": "triplet",
        "SquaredTriplet": "triplet",
        "WeightedTriplet": "triplet",
    },
)
