"""The two-stream network: stems and shared stages, dynamic feature weakening (DFW), branches (SLN), their costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.models.backbone import Backbone, Stage, build_backbone
    from vireid.models.cost import Cost, count_macs, count_parameters, measure_cost
    from vireid.models.method import Method
    from vireid.models.network import Output, TwoStreamNetwork, build_network, embedding
    from vireid.models.pooling import GeneralisedMean
    from vireid.models.segmented import Branch
    from vireid.models.weakening import DynamicFeatureWeakening

__all__ = [
    "Backbone",
    "Branch",
    "Cost",
    "DynamicFeatureWeakening",
    "GeneralisedMean",
    "Method",
    "Output",
    "Stage",
    "TwoStreamNetwork",
    "build_backbone",
    "build_network",
    "count_macs",
    "count_parameters",
    "embedding",
    "measure_cost",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Backbone": "backbone",
        "Branch": "segmented",
        "Cost": "cost",
        "DynamicFeatureWeakening": "weakening",
        "GeneralisedMean": "pooling",
        "Method": "method",
        "Output": "network",
        "Stage": "backbone",
        "TwoStreamNetwork": "network",
        "build_backbone": "backbone",
        "build_network": "network",
        "count_macs": "cost",
        "count_parameters": "cost",
        "embedding": "network",
        "measure_cost": "cost",
    },
)
