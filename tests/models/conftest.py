"""Networks the model tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vireid.config import ModelConfig
from vireid.models.network import TwoStreamNetwork

SmallNetwork = Callable[..., Any]
"""Returns a `TwoStreamNetwork`, untyped because `nn.Module` does not type its parts."""


@pytest.fixture(scope="session")
def full_network() -> TwoStreamNetwork:
    """The paper's full model for RegDB's 206 training identities, from scratch."""
    torch.manual_seed(0)
    return TwoStreamNetwork(ModelConfig(weights="none"), 206)


@pytest.fixture
def small_network() -> SmallNetwork:
    """Builder of narrow networks with lively BatchNorm statistics; keywords go to `ModelConfig`."""

    def build(classes: int = 5, seed: int = 0, **fields: Any) -> Any:
        torch.manual_seed(seed)
        defaults: dict[str, Any] = {"backbone": "resnet18", "base_width": 8, "weights": "none"}
        network = TwoStreamNetwork(ModelConfig(**defaults | fields), classes)
        for module in network.modules():
            if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
                mean, variance = module.get_buffer("running_mean"), module.get_buffer("running_var")
                torch.nn.init.normal_(mean, std=0.1)
                torch.nn.init.uniform_(variance, 0.5, 1.5)
        return network

    return build
