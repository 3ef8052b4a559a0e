"""What holds for any features, of every way of ranking and of search."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vireid.retrieval import CameraRanking, CosineRanking, ExpandedRanking, KReciprocalRanking, Ranking, nearest

Sides = tuple[torch.Tensor, torch.Tensor]
Maker = Callable[[torch.Tensor, torch.Tensor], Ranking]


def camera_ranking(query: torch.Tensor, gallery: torch.Tensor) -> CameraRanking:
    """Two cameras a side, told apart by the sign of the first dimension, so that they follow the rows."""
    return CameraRanking(query, gallery, (query[:, 0] > 0).long(), (gallery[:, 0] > 0).long())


def reranking(query: torch.Tensor, gallery: torch.Tensor) -> KReciprocalRanking:
    return KReciprocalRanking(query, gallery, k1=6, k2=3)


MAKERS: tuple[Maker, ...] = (CosineRanking, reranking, ExpandedRanking, camera_ranking)
pytestmark = pytest.mark.filterwarnings("ignore:camera correction")
every_way = pytest.mark.parametrize("make", MAKERS)


def similarity(ranking: Ranking) -> torch.Tensor:
    return ranking.block(0, ranking.queries).double()


@st.composite
def problems(draw: st.DrawFn) -> Sides:
    """Clustered float32 features without ties."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    people = torch.randn(draw(st.integers(1, 6)), 12, generator=generator)
    sizes = draw(st.integers(2, 8)), draw(st.integers(12, 30))
    noise = draw(st.sampled_from([0.3, 1.0, 3.0]))
    query, gallery = (
        people[torch.randint(len(people), (size,), generator=generator)]
        + noise * torch.randn(size, 12, generator=generator)
        for size in sizes
    )
    return query, gallery


@every_way
@settings(max_examples=20, deadline=None)
@given(problems())
def test_the_order_of_the_gallery_does_not_matter(make: Maker, problem: Sides) -> None:
    query, gallery = problem
    order = torch.randperm(len(gallery), generator=torch.Generator().manual_seed(len(gallery)))
    before, after = similarity(make(query, gallery)), similarity(make(query, gallery[order]))
    torch.testing.assert_close(after, before[:, order], atol=1e-5, rtol=0)
    rows, shuffled = nearest(query, gallery, 5).rows, nearest(query, gallery[order], 5).rows
    assert torch.equal(order[shuffled], rows)


@every_way
@settings(max_examples=20, deadline=None)
@given(problems(), st.sampled_from([2.0**-20, 0.25, 8.0, 2.0**30]))
def test_the_length_of_the_features_does_not_matter(make: Maker, problem: Sides, factor: float) -> None:
    query, gallery = problem
    factors = torch.where(torch.arange(len(gallery)) % 2 == 0, factor, 1.0)[:, None]
    assert torch.equal(similarity(make(query * factor, gallery * factors)), similarity(make(query, gallery)))
    before, after = nearest(query, gallery, 5), nearest(query * factor, gallery * factors, 5)
    assert torch.equal(after.rows, before.rows)


@every_way
@settings(max_examples=20, deadline=None)
@given(problems())
def test_both_copies_of_a_duplicated_gallery_are_as_near(make: Maker, problem: Sides) -> None:
    query, gallery = problem
    first, second = similarity(make(query, gallery.repeat(2, 1))).chunk(2, dim=1)
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0)
    if make in (CosineRanking, camera_ranking):  # the others look at a row's neighbours, which are now others
        torch.testing.assert_close(first, similarity(make(query, gallery)), atol=1e-5, rtol=0)
    once, twice = nearest(query, gallery, 4), nearest(query, gallery.repeat(2, 1), 8)
    torch.testing.assert_close(twice.similarities, once.similarities.repeat_interleave(2, dim=1), atol=1e-6, rtol=0)
    assert torch.equal((twice.rows % len(gallery)).sort(dim=1).values, once.rows.repeat_interleave(2, 1).sort(1).values)


@pytest.mark.parametrize("make", [CosineRanking, reranking, ExpandedRanking])
@settings(max_examples=20, deadline=None)
@given(problems())
def test_an_irrelevant_identity_at_the_end_changes_nothing(make: Maker, problem: Sides) -> None:
    # All share a direction and the stranger has only its opposite. Distances are relative to the farthest image, so
    # one image as far is there before. (A camera's mean takes in every image, so the camera correction is left out.)
    units = (torch.nn.functional.normalize(side) for side in problem)
    query, gallery = (torch.cat([side, torch.full((len(side), 1), 2.0)], dim=1) for side in units)
    stranger = torch.zeros(1, gallery.shape[1])
    stranger[0, -1] = -1
    before, after = torch.cat([gallery, stranger]), torch.cat([gallery, stranger, stranger])
    found, wanted = similarity(make(query, after)), similarity(make(query, before))
    people = slice(len(gallery))
    torch.testing.assert_close(found[:, people], wanted[:, people], atol=1e-6, rtol=0)
    assert bool((found[:, -1:] < found[:, people]).all())
    assert torch.equal(nearest(query, after, 5).rows, nearest(query, before, 5).rows)
