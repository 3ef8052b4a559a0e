"""The losses of MMN, DEEN and MCJA on outputs whose rows are images, then their copies, against loops."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.losses.batches import random_batch
from tests.reference import losses as reference
from vireid.losses.consistency import Consistency
from vireid.losses.expansion import CentrePairMargin, Orthogonality
from vireid.losses.pairings import PairedTriplet
from vireid.losses.parts import SmoothedIdentity
from vireid.losses.retrieval import CrossModalityRetrieval, soft_rank
from vireid.types import VireidError


def shown(seed: int, forms: int, parts: int = 1) -> tuple[Any, Tensor, Tensor]:
    """An output of ``forms`` groups of rows with ``parts`` features each, with labels and modalities of all rows."""
    batch = random_batch(seed)
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(forms * len(batch.labels), 6, generator=generator).requires_grad_() for _ in range(parts)]
    output = SimpleNamespace(pooled=tuple(rows), normed=tuple(rows), forms=forms)
    return output, batch.labels.repeat(forms), batch.modalities.repeat(forms)


def values(output: Any) -> list[reference.Array]:
    return [x.detach().double().numpy() for x in output.pooled]


@pytest.mark.parametrize("forms", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_paired_triplets_equal_the_loop(seed: int, forms: int) -> None:
    output, labels, modalities = shown(seed, forms, parts=2)
    expected = [reference.paired_triplet(x, labels.tolist(), modalities.tolist(), forms, 0.5) for x in values(output)]
    assert PairedTriplet(margin=0.5)(output, labels, modalities).item() == pytest.approx(sum(expected), rel=1e-5)


@pytest.mark.parametrize("forms", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_pair_margins_equal_the_loop(seed: int, forms: int) -> None:
    output, labels, modalities = shown(seed, forms)
    expected = reference.pair_margin(values(output)[0], labels.tolist(), modalities.tolist(), forms, 0.7)
    loss = CentrePairMargin(margin=0.7)(output, labels, modalities)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert bool(torch.isfinite(output.pooled[0].grad).all())


def test_orthogonality_is_the_inner_product_of_an_images_copies() -> None:
    output, labels, modalities = shown(1, 4)
    own, first, second, third = (x.double().detach() for x in output.pooled[0].chunk(4))
    products = (first * second + first * third + second * third).sum()
    assert Orthogonality()(output, labels, modalities).item() == pytest.approx(products.item() / len(labels), rel=1e-5)
    Orthogonality()(output, labels, modalities).backward()
    assert not output.pooled[0].grad[: len(own)].any()


def test_consistency_compares_pairs_of_an_identitys_copies_whatever_their_order() -> None:
    generator = torch.Generator().manual_seed(0)
    labels, modalities = torch.tensor([4, 4, 9, 9] * 2), torch.arange(2).repeat_interleave(4)
    rows = torch.randn(16, 6, generator=generator, requires_grad=True)
    loss = Consistency(width=5)

    def run(x: Tensor, order: Tensor) -> Tensor:
        both = torch.cat([order, order + 8])
        output = SimpleNamespace(pooled=(x[both],), forms=2)
        return loss(output, labels[order].repeat(2), modalities[order].repeat(2))

    value = run(rows, torch.arange(8))
    first, second, bias = (x.double().numpy() for x in loss.projections[6])
    x = rows.detach().double().numpy()[8:]
    x = x / np.linalg.norm(x, axis=1, keepdims=True) @ first.T
    x = np.maximum((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), 0) @ second.T + bias
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert value.item() == pytest.approx(np.linalg.norm(x[:4] - x[4:], axis=1).mean(), rel=1e-4)
    value.backward()
    assert (rows.grad.abs().sum(1) > 0).tolist() == [False] * 8 + [True] * 8  # type: ignore[union-attr]
    # identities in another order, those of a modality and identity in the same one
    assert run(rows, torch.tensor([6, 0, 2, 1, 7, 4, 3, 5])).item() == pytest.approx(value.item(), rel=1e-5)


def test_two_runs_project_alike() -> None:
    output, labels, _ = shown(0, 2)
    order = torch.arange(len(labels)) % 2  # as many of each modality of one identity
    pair = (output, torch.zeros_like(labels), order)
    torch.manual_seed(1)
    first = Consistency()(*pair)
    torch.manual_seed(2)
    assert torch.equal(first, Consistency()(*pair))


@pytest.mark.parametrize("strength", [0.01, 0.5, 20.0])
@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_soft_ranks_equal_the_pooling_of_violators(count: int, strength: float) -> None:
    rows = torch.rand(4, count, dtype=torch.float64, generator=torch.Generator().manual_seed(count))
    expected = [reference.hard_to_soft_rank(row.tolist(), strength) for row in rows]
    np.testing.assert_allclose(soft_rank(rows, strength).numpy(), expected, atol=1e-9)
    if strength == 0.01 and count < 10:
        np.testing.assert_allclose(soft_rank(rows, 1e-6).numpy(), rows.argsort(1).argsort(1).numpy() + 1, atol=1e-6)


def test_soft_ranks_have_the_gradient_of_the_projection() -> None:
    rows = torch.rand(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: soft_rank(x, 0.3), (rows,))


@pytest.mark.parametrize("seed", range(4))
def test_retrieval_equals_the_loop(seed: int) -> None:
    output, labels, modalities = shown(seed, 1)
    if seed == 3:  # somebody without a match
        labels = torch.where(modalities == 0, labels, labels + 1)
    expected = reference.retrieval(values(output)[0], labels.tolist(), modalities.tolist(), 0.5)
    assert CrossModalityRetrieval()(output, labels, modalities).item() == pytest.approx(expected, rel=1e-4)


def test_retrieval_without_any_query_is_zero_and_keeps_its_graph() -> None:
    output, labels, modalities = shown(0, 1)
    loss = CrossModalityRetrieval()(output, torch.arange(len(labels)), modalities)
    loss.backward()
    assert loss.item() == 0
    assert not output.pooled[0].grad.any()


@pytest.mark.parametrize("loss", [CentrePairMargin(), Orthogonality(), Consistency()])
def test_without_copies_they_do_not_apply(loss: torch.nn.Module) -> None:
    assert loss(*shown(0, 1)) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_smoothed_labels_are_those_of_their_formula(smoothing: float) -> None:
    scores, labels = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 0, 6, 3, 1])
    targets = (1 - smoothing) * torch.nn.functional.one_hot(labels, 7) + smoothing / 7
    expected = -(targets * scores.log_softmax(2)).sum(2).mean(1).sum()
    output: Any = SimpleNamespace(logits=tuple(scores))
    torch.testing.assert_close(SmoothedIdentity(smoothing=smoothing)(output, labels, labels), expected)


def test_uneven_pairs_are_refused() -> None:
    output, labels, _ = shown(0, 2)
    modalities = torch.zeros_like(labels)
    modalities[0] = modalities[len(labels) // 2] = 1
    with pytest.raises(VireidError, match=r"as many visible as infrared images of every identity$"):
        Consistency()(output, labels, modalities)
