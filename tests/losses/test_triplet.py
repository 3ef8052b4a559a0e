from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from tests.losses.batches import Batch, random_batch
from tests.reference import losses as reference
from vireid.losses.triplet import TRIPLETS, BatchHardTriplet, RandomTriplet, WeightedTriplet
from vireid.types import VireidError


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(6))
def test_batch_hard_equals_the_naive_loop(seed: int, margin: float) -> None:
    batch = random_batch(seed)
    expected = reference.batch_hard(batch.rows, batch.lists[0], margin)
    for order in range(3):
        value = BatchHardTriplet(margin)(*batch.shuffled(order)).item()
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_weighted_equals_the_formula(seed: int, scale: float) -> None:
    """Distances near 100 as well, where an unguarded exponential overflows float32."""
    batch = random_batch(seed, scale=scale)
    expected = reference.weighted_triplet(batch.rows, batch.lists[0])
    for order in range(3):
        value = WeightedTriplet()(*batch.shuffled(order)).item()
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_batches_worked_by_hand() -> None:
    """Rows at 0, 1 (identity 5) and 3, 7 (identity 2): positives 1, 1, 4, 4, nearest negatives 3, 2, 2, 6."""
    embeddings = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    rows = (embeddings, torch.tensor([5, 5, 2, 2]), torch.tensor([0, 1, 0, 1]))
    assert BatchHardTriplet(0.5)(*rows).item() == pytest.approx((0 + 0 + 2.5 + 0) / 4)
    negatives = [(3, 7), (2, 6), (3, 2), (7, 6)]
    near = [sum(d * np.exp(-d) for d in pair) / (sum(np.exp(-d) for d in pair) + 1e-6) for pair in negatives]
    far = [d * np.exp(d) / (np.exp(d) + 1) for d in (1, 1, 4, 4)]  # a row is its own positive, at distance 0
    expected = np.mean([np.log1p(np.exp(p - n)) for p, n in zip(far, near, strict=True)])
    assert WeightedTriplet()(*rows).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", TRIPLETS)
def test_modalities_play_no_part(kind: str) -> None:
    batch = random_batch(5)
    values = []
    for modalities in (batch.modalities, 1 - batch.modalities, torch.zeros_like(batch.modalities)):
        torch.manual_seed(0)
        values.append(TRIPLETS[kind]()(batch.embeddings, batch.labels, modalities).item())
    assert values[0] == values[1] == values[2]


def test_random_draws_valid_pairs_only() -> None:
    """All positives lie at one distance and all negatives at another: valid draws have one value."""
    labels = torch.tensor([3, 1, 1, 3, 8, 8, 3, 1])
    own, shared = torch.eye(8) * 2, torch.nn.functional.one_hot(labels, 9) * 3
    rows = Batch(torch.cat([own, shared], 1), labels, torch.arange(8) % 2)
    positive, negative = (2 * 2**2) ** 0.5, (2 * 2**2 + 2 * 3**2) ** 0.5
    torch.manual_seed(0)
    for _ in range(200):
        assert RandomTriplet(4.0)(*rows).item() == pytest.approx(4.0 + positive - negative, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_random_draws_every_valid_pair_equally_often(seed: int) -> None:
    """The mean over many draws is the mean over all valid triplets, within its standard error."""
    batch = random_batch(seed)
    torch.manual_seed(seed)
    loss, draws = RandomTriplet(1.0), 1500
    values = torch.stack([loss(*batch) for _ in range(draws)]).double()
    every = reference.every_triplet(batch.rows, batch.lists[0], 1.0)
    expected = np.mean([np.mean(values) for values in every])
    spread = (sum(np.var(values) for values in every)) ** 0.5 / len(every)
    assert values.mean().item() == pytest.approx(expected, abs=4 * spread / draws**0.5)
    assert values.std().item() == pytest.approx(spread, rel=0.1)  # anchors draw independently
    assert values.unique().numel() > 20


def test_random_follows_the_global_seed() -> None:
    batch = random_batch(6)
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(RandomTriplet()(*batch).item())
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["batch-hard", "weighted"])
def test_gradient(kind: str, seed: int) -> None:
    batch = random_batch(seed, dimensions=3)
    batch.embeddings.requires_grad_()
    labels = batch.lists[0]
    TRIPLETS[kind]()(*batch).backward()

    def naive(rows: reference.Array) -> float:
        if kind == "weighted":
            return reference.weighted_triplet(rows, labels)
        return reference.batch_hard(rows, labels, 0.3)

    expected = reference.numerical_gradient(naive, batch.rows)
    assert batch.embeddings.grad is not None
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(batch.embeddings.grad.numpy(), expected, atol=1e-4)


def test_gradient_of_a_random_draw() -> None:
    """Two images of two identities leave only the negatives to chance: the gradient is that of one draw."""
    embeddings = torch.randn(4, 3, generator=torch.Generator().manual_seed(3)).requires_grad_()
    labels = [0, 1, 1, 0]
    torch.manual_seed(4)
    RandomTriplet(1.0)(embeddings, torch.tensor(labels), torch.tensor([0, 1, 0, 1])).backward()
    choices = reference.triplets(labels)

    def drawn(rows: reference.Array, negatives: tuple[int, ...]) -> float:
        terms = [
            1.0 + reference.distance(rows[i], rows[choices[i][0][0]]) - reference.distance(rows[i], rows[n])
            for i, n in enumerate(negatives)
        ]
        return sum(max(0.0, t) for t in terms) / 4

    assert embeddings.grad is not None
    rows = embeddings.detach().double().numpy()
    draws = itertools.product(*(negatives for _, negatives in choices))
    gradients = [reference.numerical_gradient(partial(drawn, negatives=n), rows) for n in draws]
    assert min(np.abs(embeddings.grad.numpy() - gradient).max() for gradient in gradients) < 1e-4


@pytest.mark.parametrize("kind", TRIPLETS)
def test_coinciding_embeddings_have_a_finite_gradient(kind: str) -> None:
    embeddings = torch.ones(6, 3, requires_grad=True)
    TRIPLETS[kind]()(embeddings, torch.tensor([0, 0, 0, 1, 1, 1]), torch.zeros(6)).backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize("kind", TRIPLETS)
@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, 1, 1, 2], [0, 1, 2]])
def test_bad_batches(kind: str, labels: list[int]) -> None:
    rows = (torch.rand(len(labels), 3), torch.tensor(labels), torch.zeros(len(labels)))
    with pytest.raises(VireidError, match="two images of every identity and two identities"):
        TRIPLETS[kind]()(*rows)


@pytest.mark.parametrize("kind", TRIPLETS)
def test_bad_shapes(kind: str) -> None:
    with pytest.raises(VireidError, match=r"^loss: expected embeddings \(b, d\) with labels.*\(5,\), \(4,\)$"):
        TRIPLETS[kind]()(torch.rand(4, 3), torch.zeros(5), torch.zeros(4))
