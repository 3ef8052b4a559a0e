from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.reference.losses import numerical_gradient
from vireid.models.pooling import generalised_mean


def naive(x: Any, power: float, axis: Any) -> Any:
    return ((np.maximum(x, 0) ** power).mean(axis) + 1e-12) ** (1 / power)


@pytest.mark.parametrize("power", [1.0, 3.0, 6.5, 20.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
@pytest.mark.parametrize("dim", [(2, 3), 1])
def test_equals_the_formula_at_every_scale(power: float, scale: float, dim: Any) -> None:
    """float32 holds neither 300 ** 20 nor 0.001 ** 20; the result has to be right all the same."""
    x = torch.randn(3, 5, 4, 2, generator=torch.Generator().manual_seed(0)) * scale
    expected = naive(x.double().numpy(), power, dim)
    np.testing.assert_allclose(generalised_mean(x, power, dim).numpy(), expected, rtol=3e-6)


@pytest.mark.parametrize("power", [1.0, 3.0, 20.0])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize("dim", [(2, 3), 1])
def test_gradient(power: float, scale: float, dim: Any) -> None:
    """In units of the scale: but for its floor the mean is homogeneous of degree one."""
    x = torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(1)) * scale
    x.requires_grad_()
    generalised_mean(x, power, dim).sum().backward()
    assert x.grad is not None
    values = x.detach().double().numpy()
    expected = numerical_gradient(lambda y: float(naive(y, power, dim).sum()), values, 1e-5 * scale)
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=2e-5)


def test_power_one_is_the_average_and_a_large_one_nears_the_maximum() -> None:
    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(2)) + 0.1
    torch.testing.assert_close(generalised_mean(x, 1.0, (2, 3)), x.mean((2, 3)))
    peak = x.amax((2, 3))
    assert ((generalised_mean(2 * x, 200.0, (2, 3)) - 2 * peak).abs() < 0.03 * 2 * peak).all()


@pytest.mark.parametrize("power", [1.0, 3.0, 20.0])
def test_dead_channels_give_the_floor_and_no_gradient(power: float) -> None:
    x = torch.zeros(2, 3, 4, 2, requires_grad=True)
    pooled = generalised_mean(x, power, (2, 3))
    torch.testing.assert_close(pooled, torch.full((2, 3), 1e-12 ** (1 / power)))
    pooled.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_double_precision_is_kept() -> None:
    x = torch.rand(2, 3, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    np.testing.assert_allclose(generalised_mean(x, 3.0, (2, 3)).numpy(), naive(x.numpy(), 3.0, (2, 3)), rtol=1e-13)


def test_half_precision_is_computed_in_float32() -> None:
    x = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(3)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        pooled = generalised_mean(x, 3.0, (2, 3))
    assert pooled.dtype == torch.float32
    np.testing.assert_allclose(pooled.numpy(), naive(x.double().numpy(), 3.0, (2, 3)), rtol=3e-6)
