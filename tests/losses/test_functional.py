from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.losses.batches import Batch, random_batch
from tests.reference import losses as reference
from vireid.losses.functional import centre_of, modality_centres, pairwise_distance
from vireid.models.pooling import generalised_mean
from vireid.types import VireidError


@pytest.mark.parametrize("seed", range(5))
def test_distances_equal_the_naive_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(4, 6, generator=generator), torch.randn(3, 6, generator=generator)
    expected = [[reference.distance(x, y) for y in b.double().numpy()] for x in a.double().numpy()]
    np.testing.assert_allclose(pairwise_distance(a, b).numpy(), expected, rtol=1e-5)


def test_distances_of_features_as_large_as_a_network_gives() -> None:
    """Of norm 50: squares near 2500 are subtracted, which may cost 1e-3 / distance and no more."""
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(6, 2048, generator=generator) * 2
    for spread in (0.05, 0.5, 5.0):
        b = a + torch.randn(6, 2048, generator=generator) * spread / 2048**0.5
        exact = (a.double() - b.double()).norm(dim=1)
        error = (pairwise_distance(a, b).diagonal().double() - exact).abs()
        assert (error < max(1e-3 * spread, 1e-3 / spread)).all()


def test_distance_zero_has_a_finite_gradient() -> None:
    a = torch.tensor([[3.0, 4.0], [3.0, 4.0]], requires_grad=True)
    distances = pairwise_distance(a, a)
    assert (distances < 1e-5).all()
    distances.sum().backward()
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_distances_are_float32_under_autocast() -> None:
    a = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = pairwise_distance(a, a + 1)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, pairwise_distance(a, a + 1))
    assert pairwise_distance(a.bfloat16(), a).dtype == torch.float32


@pytest.mark.parametrize("seed", range(8))
def test_centres_equal_the_naive_loop(seed: int) -> None:
    batch = random_batch(seed)
    centres, identities = modality_centres(*batch)
    assert identities.tolist() == sorted(set(batch.lists[0]))
    assert centres.shape == (2, len(identities), 5)
    for modality in (0, 1):
        for position, label in enumerate(identities.tolist()):
            expected = reference.centre(batch.rows, *batch.lists, label, modality)
            np.testing.assert_allclose(centres[modality, position].numpy(), expected, atol=1e-6)


def test_centres_do_not_depend_on_the_order_of_the_batch() -> None:
    batch = random_batch(3)
    expected, identities = modality_centres(*batch)
    for seed in range(5):
        centres, again = modality_centres(*batch.shuffled(seed))
        assert torch.equal(again, identities)
        torch.testing.assert_close(centres, expected)


@pytest.mark.parametrize(("lacking", "modality"), [(7, 0), (7, 1), (2, 1), (30, 0)])
def test_an_identity_of_one_modality_is_named(lacking: int, modality: int) -> None:
    labels = torch.tensor([2, 7, 30, 2, 7, 30, 7])
    modalities = torch.tensor([0, 0, 0, 1, 1, 1, 0])
    keep = ~((labels == lacking) & (modalities == modality))
    batch = Batch(torch.randn(7, 3)[keep], labels[keep], modalities[keep])
    with pytest.raises(VireidError, match=f"label {lacking} has images of one modality only"):
        modality_centres(*batch)


def response_centre(maps: Tensor, power: float, temperature: float | None) -> Tensor:
    return centre_of(generalised_mean(maps, power, 1), temperature)


@pytest.mark.parametrize("temperature", [None, 0.05, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(3, 4, 6, 3), (2, 1, 1, 5), (2, 3, 5, 1), (1, 2, 1, 1)])
def test_response_centres_equal_the_naive_loop(temperature: float | None, shape: tuple[int, ...]) -> None:
    maps = torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).relu() + 0.01
    for power in (1.0, 3.0):
        expected = [reference.response_centre(m, power, temperature) for m in maps.double().numpy()]
        np.testing.assert_allclose(response_centre(maps, power, temperature).numpy(), expected, rtol=1e-5)


def test_the_soft_centre_nears_the_hard_one_as_the_temperature_falls() -> None:
    maps = torch.rand(4, 3, 6, 5, generator=torch.Generator().manual_seed(9))
    hard = response_centre(maps, 3.0, None)
    middle = torch.tensor([3.0, 2.5])
    gaps = [(response_centre(maps, 3.0, t) - hard).norm(dim=1) for t in (1.0, 0.1, 0.01, 0.001, 1e-6)]
    assert (gaps[-1] < 1e-4).all()
    assert all((later <= earlier + 1e-5).all() for earlier, later in itertools.pairwise(gaps[1:]))
    torch.testing.assert_close(response_centre(maps, 3.0, 1e6), middle.expand(4, 2), atol=1e-4, rtol=0)


def test_only_the_soft_centre_has_a_gradient() -> None:
    maps = torch.rand(2, 3, 4, 5, requires_grad=True)
    assert not response_centre(maps, 3.0, None).requires_grad
    response_centre(maps, 3.0, 0.1).sum().backward()
    assert maps.grad is not None
    assert (maps.grad.abs().amax((1, 2, 3)) > 0).all()
