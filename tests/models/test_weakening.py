from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.reference import weakening as reference
from tests.reference.losses import numerical_gradient
from vireid import DynamicFeatureWeakening, VireidError
from vireid.models.weakening import channel_response, weakening_matrix

MATRICES, GATES = ("D1", "D2", "D3"), ("features", "sigmoid", "none")
PAIRS: list[tuple[Any, Any]] = [*product(MATRICES, GATES)]
SETTINGS = [*product(MATRICES, GATES, (0.2, 0.5, 0.8))]


def as_numpy(x: Tensor) -> reference.Array:
    return x.detach().double().numpy()


def random_maps(seed: int, *shape: int) -> Tensor:
    """Feature maps as a ReLU leaves them, half of them zero."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).relu()


@pytest.mark.parametrize(("matrix", "gate", "value"), SETTINGS)
@pytest.mark.parametrize("shape", [(3, 5, 6, 3), (1, 1, 4, 7), (2, 16, 1, 5)])
def test_equals_the_naive_loop(matrix: Any, gate: Any, value: float, shape: tuple[int, ...]) -> None:
    features = random_maps(sum(shape), *shape)
    module = DynamicFeatureWeakening(matrix, alpha=value, beta=value, gate=gate)
    expected = reference.weaken(as_numpy(features), matrix, value, value, gate)
    np.testing.assert_allclose(as_numpy(module(features)), expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(("matrix", "gate"), PAIRS)
def test_alpha_and_beta_are_not_mixed_up(matrix: Any, gate: Any) -> None:
    features = random_maps(3, 2, 6, 5, 4)
    module = DynamicFeatureWeakening(matrix, alpha=0.1, beta=0.7, gate=gate)
    expected = reference.weaken(as_numpy(features), matrix, 0.1, 0.7, gate)
    np.testing.assert_allclose(as_numpy(module(features)), expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(("matrix", "gate"), PAIRS)
def test_negative_responses_and_exact_ties(matrix: Any, gate: Any) -> None:
    """Small integers have exact means, so many positions lie exactly on the threshold."""
    features = torch.randint(-2, 3, (6, 4, 4, 4), generator=torch.Generator().manual_seed(1)).float()
    module = DynamicFeatureWeakening(matrix, beta=0.5, gate=gate)
    expected = reference.weaken(as_numpy(features), matrix, 0.5, 0.5, gate)
    np.testing.assert_allclose(as_numpy(module(features)), expected, rtol=2e-6, atol=1e-7)


def test_a_response_at_the_threshold_is_weakened() -> None:
    response = torch.tensor([[[0.0, 1.0, 2.0, 1.0]]])
    assert weakening_matrix(response, "D1", alpha=0.25).tolist() == [[[1, 0.25, 0.25, 0.25]]]
    assert weakening_matrix(response, "D2", beta=0.5).tolist() == [[[1, 0.75, 0.75, 0.75]]]
    assert weakening_matrix(response, "D2", beta=1.0).tolist() == [[[1, 1, 0.25, 1]]]
    assert weakening_matrix(response, "D3").tolist() == [[[1, 0.75, 0.75, 0.75]]]


@pytest.mark.parametrize("shape", [(1, 18, 9), (2, 36, 18), (1, 7, 5), (1, 1, 1)])
def test_a_constant_map_is_strong_everywhere(shape: tuple[int, ...]) -> None:
    """Rounding of the mean must not make the outcome depend on the constant."""
    for value in torch.rand(50, generator=torch.Generator().manual_seed(0)).tolist() + [0.0, -3.3]:
        response = torch.full(shape, value)
        assert (weakening_matrix(response, "D1", alpha=0.25) == 0.25).all()
        assert (weakening_matrix(response, "D3") == 1).all()  # e is 1
        assert (weakening_matrix(response, "D2", beta=0.5) == 1).all()  # scaled to 0, below beta
        assert (weakening_matrix(response, "D2", beta=0.0) == 1).all()  # e is 1


def test_d2_ignores_scale_and_offset_of_the_response() -> None:
    response = random_maps(5, 3, 6, 4) + 0.25
    for beta in (0.2, 0.5, 0.8):
        expected = weakening_matrix(response, "D2", beta=beta)
        assert torch.equal(weakening_matrix(response * 64 - 32, "D2", beta=beta), expected)


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    features = random_maps(7, 4, 6, 5, 3) * torch.tensor([0.01, 1, 10, 100]).view(4, 1, 1, 1)
    for matrix, gate in PAIRS:
        module = DynamicFeatureWeakening(matrix, gate=gate)
        alone = torch.cat([module(image[None]) for image in features])
        torch.testing.assert_close(module(features), alone)


def test_the_response_is_mean_plus_maximum_over_channels() -> None:
    features = random_maps(8, 2, 5, 4, 3)
    expected = np.stack([reference.response(image) for image in as_numpy(features)])
    np.testing.assert_allclose(as_numpy(channel_response(features)), expected, rtol=1e-6)


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_weakening_matrix_carries_no_gradient(matrix: Any) -> None:
    features = random_maps(9, 2, 4, 5, 3).requires_grad_()
    weights = weakening_matrix(channel_response(features), matrix)
    assert not weights.requires_grad
    DynamicFeatureWeakening(matrix, gate="none")(features).sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad, weights.unsqueeze(1).expand_as(features))


@pytest.mark.parametrize("matrix", MATRICES)
def test_gradcheck_of_the_plain_gate(matrix: Any) -> None:
    features = random_maps(10, 2, 3, 4, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(DynamicFeatureWeakening(matrix, gate="none"), features)


@pytest.mark.parametrize("gate", ["features", "sigmoid"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_gradient_of_the_sigmoid_gates(matrix: Any, gate: Any) -> None:
    """The response is float32: autograd is compared with differences of the double-precision loop."""
    features = torch.rand(2, 3, 4, 3, generator=torch.Generator().manual_seed(11)).requires_grad_()
    weights = torch.rand(2, 3, 4, 3, generator=torch.Generator().manual_seed(12))
    (DynamicFeatureWeakening(matrix, gate=gate)(features) * weights).sum().backward()

    def loss(x: reference.Array) -> float:
        return float((reference.weaken(x, matrix, 0.5, 0.5, gate) * as_numpy(weights)).sum())

    assert features.grad is not None
    np.testing.assert_allclose(as_numpy(features.grad), numerical_gradient(loss, as_numpy(features)), atol=1e-6)


def test_a_detached_response_is_a_constant_to_the_gradient() -> None:
    features = random_maps(17, 2, 4, 5, 3).requires_grad_()
    module = DynamicFeatureWeakening(gate="sigmoid", detach=True)
    torch.testing.assert_close(module(features), DynamicFeatureWeakening(gate="sigmoid")(features))
    module(features).sum().backward()
    response = channel_response(features.detach())
    gate = torch.sigmoid(response * weakening_matrix(response, "D1")).unsqueeze(1).expand_as(features)
    torch.testing.assert_close(features.grad, gate)


@pytest.mark.parametrize("gate", GATES)
def test_inference_switch(gate: Any) -> None:
    features = random_maps(13, 2, 4, 5, 3)
    always, training_only = DynamicFeatureWeakening(gate=gate), DynamicFeatureWeakening(gate=gate, inference=False)
    weakened = always(features)
    assert not torch.equal(weakened, features)
    assert torch.equal(training_only(features), weakened)
    assert torch.equal(always.eval()(features), weakened)
    assert training_only.eval()(features) is features
    assert torch.equal(training_only.weaken(features), weakened)


def test_it_holds_no_state_and_is_deterministic() -> None:
    module = DynamicFeatureWeakening()
    assert not list(module.parameters())
    assert not module.state_dict()
    features = random_maps(14, 2, 4, 5, 3)
    before = features.clone()
    state = torch.get_rng_state()
    first, second = module(features), module(features)
    assert torch.equal(first, second)
    assert torch.equal(features, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(("matrix", "gate"), PAIRS)
def test_type_and_layout_are_kept(dtype: torch.dtype, matrix: Any, gate: Any) -> None:
    """Half precision costs the rounding of gate and product, not that of the response."""
    features = random_maps(15, 2, 8, 5, 4).to(dtype).contiguous(memory_format=torch.channels_last)
    output = DynamicFeatureWeakening(matrix, gate=gate)(features)
    assert output.dtype == dtype
    assert output.is_contiguous(memory_format=torch.channels_last)
    expected = reference.weaken(as_numpy(features), matrix, 0.5, 0.5, gate)
    rounding = max(2 * torch.finfo(dtype).eps, 2e-6)
    np.testing.assert_allclose(as_numpy(output), expected, rtol=rounding, atol=1e-7)


def test_autocast_changes_nothing() -> None:
    features = random_maps(16, 2, 8, 5, 4)
    module = DynamicFeatureWeakening()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = module(features)
    assert torch.equal(mixed, module(features))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"matrix": "D4"}, "matrix: expected D1, D2 or D3, got 'D4'"),
        ({"gate": "tanh"}, "gate: expected features, sigmoid or none, got 'tanh'"),
        ({"alpha": 1.1}, r"alpha: expected a number in \[0, 1\], got 1.1"),
        ({"alpha": -0.1}, "alpha"),
        ({"beta": 2}, "beta"),
        ({"beta": float("nan")}, "beta"),
    ],
)
def test_bad_arguments(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(VireidError, match=message):
        DynamicFeatureWeakening(**fields)


def test_bad_shape() -> None:
    with pytest.raises(VireidError, match=r"^features: expected a map \(b, c, h, w\), got shape \(2, 8\)$"):
        DynamicFeatureWeakening()(torch.rand(2, 8))


def test_plugs_into_a_network_in_one_line() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    names = set(network.state_dict())
    network[1] = nn.Sequential(network[1], DynamicFeatureWeakening())
    assert set(network.state_dict()) == names
    network(torch.rand(2, 3, 9, 9)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
