from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.losses.batches import random_batch
from tests.reference import losses as reference
from vireid.build import build_objective
from vireid.config import DataConfig, HeteroCenterConfig, LossConfig, OverlapConfig, Recipe, TripletConfig
from vireid.losses import IdentityLoss, Objective
from vireid.losses import parts as built_in
from vireid.types import VireidError

SIZE = (64, 32)
PARTS = ("identity", "triplet", "hetero_center", "overlap")


class Output(NamedTuple):
    maps: tuple[Tensor, ...]
    pooled: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]


class Rows(NamedTuple):
    """A network's output and the labels of its rows, all leaves of the graph."""

    output: Output
    labels: Tensor
    modalities: Tensor

    def taken(self, order: Tensor) -> Rows:
        parts = (tuple(x[order] for x in part) for part in self.output)
        return Rows(Output(*parts), self.labels[order], self.modalities[order])


def random_rows(seed: int, branches: int = 2, classes: int = 6) -> Rows:
    batch = random_batch(seed)
    generator = torch.Generator().manual_seed(seed + 100)
    labels = torch.unique(batch.labels, return_inverse=True)[1]

    def parts(*shape: int) -> tuple[Tensor, ...]:
        return tuple(torch.rand(len(labels), *shape, generator=generator).requires_grad_() for _ in range(branches))

    return Rows(Output(parts(3, 4, 3), parts(5), parts(classes)), labels, batch.modalities)


def config(identity: float, triplet: float, hetero_center: float, overlap: float, **triplet_fields: Any) -> LossConfig:
    return LossConfig(
        identity=identity,
        triplet=TripletConfig(weight=triplet, **triplet_fields),
        hetero_center=HeteroCenterConfig(weight=hetero_center),
        overlap=OverlapConfig(weight=overlap),
    )


def made(settings: LossConfig) -> Objective:
    return build_objective(Recipe(loss=settings, data=DataConfig(height=SIZE[0], width=SIZE[1])), classes=6)


def naive_parts(rows: Rows, settings: LossConfig) -> dict[str, float]:
    labels, modalities = rows.labels.tolist(), rows.modalities.tolist()
    maps, pooled, logits = ([x.detach().double().numpy() for x in part] for part in rows.output)

    def triplet(x: reference.Array) -> float:
        if settings.triplet.kind in ("weighted", "squared"):
            return reference.weighted_triplet(x, labels, settings.triplet.kind == "squared")
        return reference.batch_hard(x, labels, settings.triplet.margin)

    centre, overlap = settings.hetero_center, settings.overlap
    final = np.concatenate(pooled, axis=1)

    def hetero_center(x: reference.Array) -> float:
        return reference.hetero_center(x, labels, modalities, centre.margin, centre.reduction)

    temperature = overlap.temperature if overlap.centre == "soft" else None
    return {
        "identity": sum(reference.identity(x, labels) for x in logits),
        "triplet": sum(triplet(x) for x in pooled),
        "hetero_center": hetero_center(final) + centre.each * sum(hetero_center(x) for x in pooled),
        "overlap": reference.overlap(np.stack(maps, axis=1), SIZE, overlap.separation, temperature),
    }


@pytest.mark.parametrize(
    "settings",
    [
        LossConfig(),
        config(0.5, 2.0, 3.0, 0.25, kind="weighted"),
        LossConfig(triplet=TripletConfig(kind="squared"), hetero_center=HeteroCenterConfig(each=2)),
        LossConfig(
            identity=2.0,
            triplet=TripletConfig(margin=1.5),
            hetero_center=HeteroCenterConfig(margin=1.1, reduction="mean", weight=2),
            overlap=OverlapConfig(separation=70, temperature=0.5, weight=1),
        ),
        LossConfig(overlap=OverlapConfig(separation=90, centre="hard")),
    ],
)
@pytest.mark.parametrize("branches", [2, 3])
def test_the_total_is_the_weighted_sum_of_the_parts(settings: LossConfig, branches: int) -> None:
    rows = random_rows(1, branches)
    expected = naive_parts(rows, settings)
    weights = (
        settings.identity,
        settings.triplet.weight,
        settings.hetero_center.weight,
        settings.overlap.weight,
    )
    objective = made(settings)
    for order in (torch.arange(len(rows.labels)), torch.randperm(len(rows.labels))):
        parts = objective(*rows.taken(order))
        assert set(parts) == {*PARTS, "total"}
        for name in PARTS:
            assert parts[name].item() == pytest.approx(expected[name], rel=1e-4), name
        total = sum(weight * expected[name] for weight, name in zip(weights, PARTS, strict=True))
        assert parts["total"].item() == pytest.approx(total, rel=1e-4)
        assert all(value.shape == () and value.dtype == torch.float32 for value in parts.values())


@pytest.mark.parametrize("off", PARTS)
def test_a_part_of_weight_zero_is_not_computed(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {name: 0.0 if name == off else 1.0 for name in PARTS}
    cls = off.title().replace("_", "")
    monkeypatch.setattr(getattr(built_in, cls), "forward", lambda *_: pytest.fail(f"{off} was computed"))
    rows = random_rows(2)
    parts = made(config(**weights))(*rows)
    expected = naive_parts(rows, LossConfig())
    assert set(parts) == {*PARTS, "total"} - {off}
    assert parts["total"].item() == pytest.approx(sum(expected[n] for n in PARTS if n != off), rel=1e-4)


def test_gradient_of_the_total_is_that_of_the_weighted_parts() -> None:
    weights = dict(zip(PARTS, (0.5, 2.0, 3.0, 0.25), strict=True))
    rows = random_rows(3)
    leaves = [x for part in rows.output for x in part]
    got = torch.autograd.grad(made(config(**weights))(*rows)["total"], leaves)
    expected = [torch.zeros_like(x) for x in leaves]
    for name, weight in weights.items():
        alone = made(config(**{n: float(n == name) for n in PARTS}))(*rows)[name]
        for total, part in zip(expected, torch.autograd.grad(alone, leaves, allow_unused=True), strict=True):
            total += 0 if part is None else weight * part
    for a, b in zip(got, expected, strict=True):
        assert b.abs().sum() > 0
        torch.testing.assert_close(a, b)


def test_the_hard_overlap_leaves_the_gradient_as_it_is() -> None:
    rows = random_rows(4)
    leaves = [x for part in (rows.output.pooled, rows.output.logits) for x in part]
    hard = LossConfig(overlap=OverlapConfig(centre="hard", weight=1))
    without = LossConfig(overlap=OverlapConfig(weight=0))
    totals = [made(settings)(*rows)["total"] for settings in (hard, without)]
    assert totals[0] > totals[1]
    gradients = [torch.autograd.grad(total, [*leaves, *rows.output.maps], allow_unused=True) for total in totals]
    for with_hard, alone in zip(*gradients, strict=True):
        assert (with_hard is None and alone is None) or torch.equal(with_hard, alone)


def test_one_branch_has_no_overlap() -> None:
    parts = made(LossConfig())(*random_rows(5, branches=1))
    assert set(parts) == {"identity", "triplet", "hetero_center", "total"}


def test_nothing_to_compute_is_an_error() -> None:
    with pytest.raises(VireidError, match="all weights are 0"):
        Objective({})
    alone = made(LossConfig(identity=0, **{n: {"weight": 0} for n in ("triplet", "hetero_center")}))  # type: ignore[arg-type]
    with pytest.raises(VireidError, match="loss: overlap computes nothing on this network's output"):
        alone(*random_rows(5, branches=1))


@pytest.mark.parametrize("kind", ["random", "batch-hard", "weighted"])
def test_the_triplet_is_of_the_kind_and_margin_asked_for(kind: Any) -> None:
    rows = random_rows(6)
    objective = made(config(0, 1, 0, 0, kind=kind, margin=50.0))
    labels = rows.labels.tolist()
    pooled = [x.detach().double().numpy() for x in rows.output.pooled]
    value = objective(*rows)["total"].item()
    if kind == "batch-hard":
        assert value == pytest.approx(sum(reference.batch_hard(x, labels, 50.0) for x in pooled), rel=1e-4)
    elif kind == "weighted":
        assert value == pytest.approx(sum(reference.weighted_triplet(x, labels) for x in pooled), rel=1e-4)
    else:
        every = [reference.every_triplet(x, labels, 50.0) for x in pooled]
        low, high = (sum(np.mean([f(values) for values in e]) for e in every) for f in (min, max))
        assert low <= value <= high
        assert objective(*rows)["total"].item() != value


@pytest.mark.parametrize("seed", range(4))
def test_identity_loss(seed: int) -> None:
    rows = random_rows(seed)
    logits = rows.output.logits[0]
    labels = rows.labels.tolist()
    value = IdentityLoss()(logits * 5, rows.labels, rows.modalities)
    assert value.item() == pytest.approx(reference.identity(logits.detach().double().numpy() * 5, labels), rel=1e-5)
    value.backward()
    expected = reference.numerical_gradient(
        lambda x: reference.identity(x * 5, labels), logits.detach().double().numpy()
    )
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-5)


def test_identity_loss_of_half_precision_and_large_logits() -> None:
    labels = torch.tensor([0, 1])
    logits = torch.tensor([[500.0, 0.0], [300.0, 0.0]]).bfloat16()
    loss = IdentityLoss()(logits, labels, labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((0 + 300) / 2)


def test_an_identity_of_one_modality_is_an_error() -> None:
    rows = random_rows(7)
    keep = ((rows.labels != 0) | (rows.modalities == 0)).nonzero().squeeze(1)
    with pytest.raises(VireidError, match="label 0 has images of one modality only"):
        made(config(0, 0, 1, 0))(*rows.taken(keep))
