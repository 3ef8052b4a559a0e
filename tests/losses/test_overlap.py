from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import losses as reference
from vireid.losses.overlap import OverlapPenalty
from vireid.types import VireidError

INPUT = (288, 144)


def random_maps(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def peaks(*cells: tuple[int, int], grid: tuple[int, int] = (18, 9), height: float = 40.0) -> Tensor:
    """Maps (1, branches, 4, h, w) of one image with one sharp peak per branch, in all channels."""
    maps = torch.full((1, len(cells), 4, *grid), 0.1)
    for branch, (row, column) in enumerate(cells):
        maps[0, branch, :, row, column] = height
    return maps


def penalty(loss: OverlapPenalty, maps: Tensor) -> float:
    rows = torch.zeros(len(maps), dtype=torch.int64)
    return float(loss(maps, rows, rows))


@pytest.mark.parametrize("centre", ["soft", "hard"])
@pytest.mark.parametrize("separation", [30.0, 100.0, 500.0])
@pytest.mark.parametrize("shape", [(4, 2, 5, 6, 3), (3, 3, 4, 5, 4), (2, 4, 2, 3, 3), (1, 2, 1, 1, 4)])
def test_equals_the_naive_loop(centre: Any, separation: float, shape: tuple[int, ...]) -> None:
    maps = random_maps(sum(shape), *shape)
    temperature = 0.1 if centre == "soft" else None
    expected = reference.overlap(maps.double().numpy(), (96, 40), separation, temperature)
    loss = OverlapPenalty((96, 40), separation, centre)
    assert penalty(loss, maps) == pytest.approx(expected, rel=1e-4)
    order = torch.randperm(len(maps), generator=torch.Generator().manual_seed(0))
    assert penalty(loss, maps[order]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("temperature", "power"), [(0.02, 3.0), (1.0, 1.0)])
def test_temperature_and_power(temperature: float, power: float) -> None:
    maps = random_maps(1, 3, 2, 4, 5, 4)
    expected = reference.overlap(maps.double().numpy(), INPUT, 200, temperature, power)
    loss = OverlapPenalty(INPUT, 200, temperature=temperature, power=power)
    assert penalty(loss, maps) == pytest.approx(expected, rel=1e-4)


VARIANTS = [{"relative": True}, {"standardise": True}, {"relative": True, "standardise": True}]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("shape", [(4, 2, 5, 6, 3), (3, 3, 4, 5, 4)])
def test_variants_equal_the_naive_loop(variant: dict[str, bool], temperature: float, shape: tuple[int, ...]) -> None:
    maps = random_maps(sum(shape), *shape)
    expected = reference.overlap(maps.double().numpy(), (96, 40), 100, temperature, **variant)
    plain = reference.overlap(maps.double().numpy(), (96, 40), 100, temperature)
    assert expected != pytest.approx(plain, rel=1e-3)
    loss = OverlapPenalty((96, 40), 100, temperature=temperature, **variant)
    assert penalty(loss, maps) == pytest.approx(expected, rel=1e-4)


def test_where_a_branch_responds_in_every_image_does_not_count_when_relative() -> None:
    """Two branches that differ by a fixed border alone are apart by the plain penalty and together by the other."""
    maps = random_maps(8, 6, 1, 3, 5, 4).expand(-1, 2, -1, -1, -1).clone()
    maps[:, 0, :, 0, 0] = 20.0
    maps[:, 1, :, -1, -1] = 20.0
    assert penalty(OverlapPenalty(INPUT, 200), maps) == 0
    assert penalty(OverlapPenalty(INPUT, 200, relative=True), maps) > 100


def test_a_level_and_a_scale_do_not_change_the_standardised_penalty() -> None:
    maps = random_maps(9, 4, 2, 1, 5, 4) + 1  # one channel: the response is the map
    loss = OverlapPenalty(INPUT, 300, temperature=0.5, standardise=True)
    assert penalty(loss, 7 * maps + 3) == pytest.approx(penalty(loss, maps), rel=1e-4)
    flat = torch.ones(2, 2, 3, 4, 4, requires_grad=True)
    value = loss(flat, torch.zeros(2), torch.zeros(2))
    value.backward()
    assert value.item() == pytest.approx(300, abs=1e-3)
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


@pytest.mark.parametrize("centre", ["soft", "hard"])
def test_separation_is_in_pixels_of_the_input(centre: Any) -> None:
    """Peaks 8 rows and 4 columns apart on the 18 x 9 grid of 288 x 144 pixels: 128 and 64 of them."""
    maps, apart = peaks((2, 3), (10, 7)), math.hypot(8 * 16, 4 * 16)
    assert penalty(OverlapPenalty(INPUT, 200, centre), maps) == pytest.approx(200 - apart, rel=1e-5)
    assert penalty(OverlapPenalty(INPUT, 100, centre), maps) == 0
    # Last stride 2: a cell is 32 x 28.8 pixels.
    coarse = peaks((1, 0), (3, 4), grid=(9, 5))
    assert penalty(OverlapPenalty(INPUT, 200, centre), coarse) == pytest.approx(200 - math.hypot(64, 115.2), rel=1e-5)
    # The paper's best S is within reach: opposite corners are 300 pixels apart.
    corners = peaks((0, 0), (17, 8))
    assert penalty(OverlapPenalty(INPUT, 400, centre), corners) == pytest.approx(400 - math.hypot(272, 128), rel=1e-5)


@pytest.mark.parametrize("centre", ["soft", "hard"])
def test_three_branches_average_over_pairs_and_images(centre: Any) -> None:
    same, apart = peaks((4, 4), (4, 4), (4, 4)), peaks((4, 4), (4, 6), (7, 4))
    distances = [0, 0, 0, 32, 48, math.hypot(32, 48)]
    expected = sum(max(0, 50 - d) for d in distances) / 6
    assert penalty(OverlapPenalty(INPUT, 50, centre), torch.cat([same, apart])) == pytest.approx(expected, rel=1e-5)


def test_the_printed_centre_trains_nothing() -> None:
    """The position of the maximum is a constant: no gradient function leads back to the maps."""
    maps = random_maps(2, 3, 2, 4, 5, 4).requires_grad_()
    rows = torch.zeros(3, dtype=torch.int64)
    value = OverlapPenalty(INPUT, 300, "hard")(maps, rows, rows)
    assert value > 0
    assert value.grad_fn is None
    assert not value.requires_grad
    (value + 0 * maps.sum()).backward()
    assert maps.grad is not None
    assert torch.equal(maps.grad, torch.zeros_like(maps))


def test_the_soft_centre_pushes_the_branches_apart() -> None:
    maps = random_maps(3, 2, 2, 3, 4, 3).requires_grad_()
    rows = torch.zeros(2, dtype=torch.int64)
    loss = OverlapPenalty((64, 48), 100)
    before = loss(maps, rows, rows)
    before.backward()
    expected = reference.numerical_gradient(
        lambda x: reference.overlap(x, (64, 48), 100, 0.1), maps.detach().double().numpy()
    )
    assert maps.grad is not None
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(maps.grad.numpy(), expected, rtol=2e-3, atol=2e-3)
    with torch.no_grad():
        assert loss(maps - 1e-3 * maps.grad, rows, rows) < before


def test_no_gradient_beyond_the_separation() -> None:
    maps = peaks((0, 0), (17, 8)).requires_grad_()
    OverlapPenalty(INPUT, 100)(maps, torch.zeros(1), torch.zeros(1)).backward()
    assert maps.grad is not None
    assert torch.equal(maps.grad, torch.zeros_like(maps))


def test_the_soft_penalty_nears_the_hard_one_as_the_temperature_falls() -> None:
    maps = random_maps(4, 4, 2, 3, 6, 5)
    hard = penalty(OverlapPenalty(INPUT, 300, "hard"), maps)
    gaps = [abs(penalty(OverlapPenalty(INPUT, 300, temperature=t), maps) - hard) for t in (1.0, 0.1, 0.01, 1e-5)]
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3]
    assert gaps[3] < 1e-2


@pytest.mark.parametrize("branches", [2, 3])
def test_coinciding_branches_cost_the_separation(branches: int) -> None:
    maps = random_maps(5, 2, 1, 3, 4, 3).expand(-1, branches, -1, -1, -1).clone().requires_grad_()
    value = OverlapPenalty(INPUT, 100)(maps, torch.zeros(2), torch.zeros(2))
    assert value.item() == pytest.approx(100, abs=1e-3)
    value.backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_half_precision_maps() -> None:
    maps = random_maps(6, 3, 2, 8, 5, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = OverlapPenalty(INPUT, 300)(maps, torch.zeros(3), torch.zeros(3))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(reference.overlap(maps.double().numpy(), INPUT, 300, 0.1), rel=1e-4)


@pytest.mark.parametrize("shape", [(2, 1, 3, 4, 5), (2, 3, 4, 5), (2, 8)])
def test_bad_maps(shape: tuple[int, ...]) -> None:
    with pytest.raises(VireidError, match=r"^maps: expected \(b, branches >= 2, c, h, w\), got shape"):
        OverlapPenalty(INPUT)(torch.rand(*shape), torch.zeros(2), torch.zeros(2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"centre": "middle"}, "centre: expected soft or hard, got 'middle'"),
        ({"temperature": 0.0}, "temperature, separation: expected"),
        ({"temperature": float("nan")}, "temperature, separation: expected"),
        ({"separation": -1.0}, "temperature, separation: expected"),
    ],
)
def test_bad_arguments(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OverlapPenalty(INPUT, **fields)
