from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.losses.batches import Batch, random_batch
from tests.reference import losses as reference
from vireid.losses.hetero_center import HeteroCenterTriplet
from vireid.types import VireidError


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_naive_loop(seed: int, margin: float, reduction: Any) -> None:
    batch = random_batch(seed)
    expected = reference.hetero_center(batch.rows, *batch.lists, margin, reduction)
    loss = HeteroCenterTriplet(margin, reduction)
    assert loss(*batch).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    for order in range(3):
        assert loss(*batch.shuffled(order)).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_batch_worked_by_hand() -> None:
    """Centres on a line: A visible 0, infrared 1; B visible 3, infrared 7.

    Anchors lie 1, 1, 4, 4 from their own and 3, 2, 2, 6 from the other: 0, 0, 2.5, 0 with margin 0.5.
    """
    embeddings = torch.tensor([[-1.0], [1.0], [1.0], [3.0], [6.0], [8.0]])
    labels, modalities = torch.tensor([4, 4, 4, 9, 9, 9]), torch.tensor([0, 0, 1, 0, 1, 1])
    assert HeteroCenterTriplet(0.5)(embeddings, labels, modalities).item() == pytest.approx(2.5)
    assert HeteroCenterTriplet(0.5, "mean")(embeddings, labels, modalities).item() == pytest.approx(2.5 / 4)


def test_swapping_the_modalities_changes_nothing() -> None:
    batch = random_batch(11)
    swapped = Batch(batch.embeddings, batch.labels, 1 - batch.modalities)
    assert HeteroCenterTriplet()(*swapped).item() == pytest.approx(HeteroCenterTriplet()(*batch).item())


@pytest.mark.parametrize("seed", range(3))
def test_gradient(seed: int) -> None:
    batch = random_batch(seed, dimensions=3)
    batch.embeddings.requires_grad_()
    HeteroCenterTriplet(1.0)(*batch).backward()
    labels, modalities = batch.lists
    expected = reference.numerical_gradient(
        lambda rows: reference.hetero_center(rows, labels, modalities, 1.0, "sum"), batch.rows
    )
    assert batch.embeddings.grad is not None
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(batch.embeddings.grad.numpy(), expected, atol=1e-4)


def test_well_separated_identities_cost_nothing() -> None:
    embeddings = torch.tensor([[0.0, 0], [0, 0], [9, 0], [9, 0]], requires_grad=True)
    loss = HeteroCenterTriplet(0.3)(embeddings, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is not None
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_collapsed_embeddings_have_a_finite_gradient() -> None:
    embeddings = torch.ones(4, 3, requires_grad=True)
    loss = HeteroCenterTriplet(0.3)(embeddings, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(4 * 0.3, abs=1e-4)
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_half_precision_embeddings() -> None:
    batch = random_batch(12)
    half = Batch(batch.embeddings.bfloat16(), batch.labels, batch.modalities)
    loss = HeteroCenterTriplet()(*half)
    assert loss.dtype == torch.float32
    expected = reference.hetero_center(half.rows, *half.lists, 0.3, "sum")
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_bad_batches() -> None:
    one_person = (torch.rand(4, 3), torch.zeros(4, dtype=torch.int64), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(VireidError, match="two identities"):
        HeteroCenterTriplet()(*one_person)
    with pytest.raises(VireidError, match="label 1 has images of one modality only"):
        HeteroCenterTriplet()(torch.rand(3, 3), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    with pytest.raises(VireidError, match=r"^modalities: expected 0 for visible and 1 for infrared images$"):
        HeteroCenterTriplet()(torch.rand(4, 3), torch.tensor([0, 0, 1, 1]), torch.tensor([1, 2, 1, 2]))
    with pytest.raises(VireidError, match=r"^loss: expected embeddings \(b, d\) with labels.*\(4,\), \(2,\)$"):
        HeteroCenterTriplet()(torch.rand(4, 3), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1]))
