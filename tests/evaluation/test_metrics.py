"""CMC, mAP and mINP against the usual loop, and properties that hold for any input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.metrics import loop
from vireid.evaluation.metrics import chance, cmc, score_queries, summarise
from vireid.evaluation.rules import RULES, Labels, MatchRule
from vireid.retrieval import CosineRanking, MatrixRanking
from vireid.types import VireidError

PROTOCOLS = tuple(RULES)


def labels(count: int, identities: int, generator: torch.Generator) -> Labels:
    return Labels(
        torch.randint(identities, (count,), generator=generator),
        torch.randint(1, 7, (count,), generator=generator),
    )


def compare(
    similarity: torch.Tensor, query: Labels, gallery: Labels, protocol: str, block_values: int = 1 << 20
) -> None:
    scores = score_queries(MatrixRanking(similarity), query, gallery, RULES[protocol], block_values)
    wanted = loop(
        similarity.numpy(),
        query.identities.numpy(),
        gallery.identities.numpy(),
        query.cameras.numpy(),
        gallery.cameras.numpy(),
        protocol,
    )
    assert scores.cmc_rank.tolist() == wanted.first
    assert scores.worst_rank.tolist() == wanted.worst
    np.testing.assert_allclose(scores.average_precision[scores.valid].numpy(), wanted.average_precision, atol=1e-12)
    np.testing.assert_allclose(cmc(scores, 20).numpy(), wanted.cmc, atol=1e-12)
    metrics = summarise(scores)
    assert (metrics.rank1, metrics.rank20) == pytest.approx((wanted.cmc[0], wanted.cmc[19]))
    assert metrics.map == pytest.approx(wanted.map)
    assert metrics.minp == pytest.approx(wanted.minp)
    assert metrics.valid_queries == wanted.valid
    assert metrics.dropped_queries == len(query) - wanted.valid


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("levels", [None, 5, 1], ids=["distinct", "ties", "all-tied"])
@pytest.mark.parametrize("block_values", [1, 700, 1 << 20])
def test_equals_the_loop(protocol: str, levels: int | None, block_values: int) -> None:
    generator = torch.Generator().manual_seed(3)
    similarity = torch.rand(90, 70, generator=generator)
    if levels is not None:
        similarity = (similarity * levels).floor()
    # 12 identities among the gallery's 10: some queries have no match.
    query, gallery = labels(90, 12, generator), labels(70, 10, generator)
    compare(similarity, query, gallery, protocol, block_values)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equals_the_loop_for_one_identity_and_for_one_image(protocol: str) -> None:
    generator = torch.Generator().manual_seed(4)
    one = Labels(torch.zeros(20, dtype=torch.int64), torch.arange(20) % 3 + 4)
    two = Labels(torch.zeros(15, dtype=torch.int64), torch.arange(15) % 3 + 1)
    compare(torch.rand(20, 15, generator=generator), one, two, protocol)
    compare(torch.rand(1, 1, generator=generator), one[:1], two[:1], protocol)


@pytest.mark.parametrize("levels", [1000, 4])
def test_equals_the_loop_where_matches_are_so_many_that_rows_are_sorted(levels: int) -> None:
    generator = torch.Generator().manual_seed(6)
    similarity = (torch.rand(20, 300, generator=generator) * levels).floor()
    compare(similarity, labels(20, 2, generator), labels(300, 2, generator), "sysu")


def test_half_precision_similarities_count_beyond_2048() -> None:
    similarity = torch.linspace(-1, 1, 5000)[None].half()
    gallery = Labels(torch.arange(5000), torch.zeros(5000, dtype=torch.int64))
    compare(similarity, Labels(torch.tensor([3]), torch.tensor([1])), gallery, "folder")


def test_minus_zero_ties_with_zero() -> None:
    similarity = torch.tensor([[-0.0, 0.0]])
    scores = score_queries(
        MatrixRanking(similarity),
        Labels(torch.tensor([1]), torch.tensor([1])),
        Labels(torch.tensor([1, 2]), torch.tensor([1, 1])),
        RULES["folder"],
    )
    assert scores.cmc_rank.item() == 1


def test_dropped_queries_do_not_enter_the_curve() -> None:
    similarity = torch.tensor([[0.9, 0.1], [0.9, 0.1]])
    query = Labels(torch.tensor([1, 5]), torch.tensor([1, 1]))
    gallery = Labels(torch.tensor([1, 2]), torch.tensor([2, 2]))
    metrics = summarise(score_queries(MatrixRanking(similarity), query, gallery, RULES["folder"]))
    assert (metrics.rank1, metrics.valid_queries, metrics.dropped_queries) == (1.0, 1, 1)


def test_no_valid_query_is_an_error() -> None:
    side = Labels(torch.tensor([1]), torch.tensor([1]))
    other = Labels(torch.tensor([2]), torch.tensor([1]))
    scores = score_queries(MatrixRanking(torch.ones(1, 1)), side, other, RULES["folder"])
    with pytest.raises(VireidError, match="no query has a true match"):
        summarise(scores)


def test_labels_of_another_length_are_an_error() -> None:
    side = Labels(torch.tensor([1]), torch.tensor([1]))
    with pytest.raises(VireidError, match=r"1 queries and 1 gallery images, but the ranking has 1 and 2"):
        score_queries(MatrixRanking(torch.ones(1, 2)), side, side, RULES["folder"])


@pytest.mark.parametrize(
    ("identities", "cameras", "message"),
    [
        (
            torch.tensor([1.5, torch.nan]),
            torch.ones(2, dtype=torch.int64),
            r"identities: expected \(2,\) whole numbers",
        ),
        (
            torch.tensor([1, 2]),
            torch.ones(3, dtype=torch.int64),
            r"cameras: expected \(2,\) whole .* int64 of shape \(3,\)",
        ),
        (torch.ones(2, 1, dtype=torch.int64), torch.ones(2, dtype=torch.int64), "identities: expected"),
        (torch.ones(2, dtype=torch.bool), torch.ones(2, dtype=torch.int64), "identities: expected .* got bool"),
        ([7, "007"], torch.ones(2, dtype=torch.int64), "identities: expected a tensor of whole numbers, got list"),
        (torch.ones(2, dtype=torch.int64), None, "cameras: expected a tensor of whole numbers, got NoneType"),
    ],
)
def test_labels_are_whole_numbers_one_per_image(identities: Any, cameras: Any, message: str) -> None:
    with pytest.raises(VireidError, match=message):
        Labels(identities, cameras)


def test_threads_and_what_autograd_is_at_change_nothing() -> None:
    generator = torch.Generator().manual_seed(8)
    features = torch.randn(400, 8, generator=generator)
    sides = labels(400, 9, generator), labels(400, 9, generator)
    wanted = score_queries(CosineRanking(features, features), *sides, RULES["sysu"])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            found = score_queries(CosineRanking(features, features), *sides, RULES["sysu"])
        learned = torch.nn.Parameter(features)
        again = score_queries(CosineRanking(learned, learned), *sides, RULES["sysu"])
    finally:
        torch.set_num_threads(before)
    for other in (found, again):
        assert torch.equal(other.cmc_rank, wanted.cmc_rank)
        assert torch.equal(other.average_precision, wanted.average_precision)


def test_the_query_image_itself_is_skipped() -> None:
    rule = MatchRule("mixed", skips_same_image=True)
    side = Labels(torch.tensor([1, 1, 2]), torch.tensor([0, 0, 0]), torch.arange(3))
    similarity = torch.tensor([[1.0, 0.2, 0.5], [0.2, 1.0, 0.1], [0.5, 0.1, 1.0]])
    scores = score_queries(MatrixRanking(similarity), side, side, rule)
    assert scores.cmc_rank.tolist() == [2, 1, 0]
    assert scores.candidates.tolist() == [2, 2, 2]
    with pytest.raises(VireidError, match="image numbers are missing"):
        score_queries(MatrixRanking(similarity), Labels(side.identities, side.cameras), side, rule)


def test_chance_is_the_mean_over_random_orders() -> None:
    generator = torch.Generator().manual_seed(5)
    query, gallery = labels(4, 6, generator), labels(30, 6, generator)
    rank1, precision = [], []
    for _ in range(400):
        scores = score_queries(MatrixRanking(torch.rand(4, 30, generator=generator)), query, gallery, RULES["sysu"])
        metrics = summarise(scores)
        rank1.append(metrics.rank1)
        precision.append(metrics.map)
    expected = chance(scores)
    for values, mean in zip((rank1, precision), expected, strict=True):
        assert abs(np.mean(values) - mean) < 4 * np.std(values) / math.sqrt(len(values))


@st.composite
def problems(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, Labels, Labels, str]:
    """Integer-valued embeddings of few values, so that ties are frequent."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    queries, images = draw(st.integers(1, 8)), draw(st.integers(1, 20))
    identities = draw(st.integers(1, 6))
    query = torch.randint(-2, 3, (queries, 4), generator=generator).float()
    gallery = torch.randint(-2, 3, (images, 4), generator=generator).float()
    # A constant last dimension keeps every row away from zero.
    query, gallery = (torch.cat([side, torch.ones(len(side), 1)], dim=1) for side in (query, gallery))
    sides = labels(queries, identities, generator), labels(images, identities, generator)
    return query, gallery, *sides, draw(st.sampled_from(PROTOCOLS))


@settings(max_examples=40, deadline=None)
@given(problems())
def test_equals_the_loop_on_anything(problem: tuple[torch.Tensor, torch.Tensor, Labels, Labels, str]) -> None:
    query, gallery, query_labels, gallery_labels, protocol = problem
    similarity = CosineRanking(query, gallery).block(0, len(query))
    scores = score_queries(MatrixRanking(similarity), query_labels, gallery_labels, RULES[protocol])
    if bool(scores.valid.any()):
        compare(similarity, query_labels, gallery_labels, protocol)


@settings(max_examples=40, deadline=None)
@given(problems())
def test_order_of_an_untied_gallery_does_not_matter(
    problem: tuple[torch.Tensor, torch.Tensor, Labels, Labels, str],
) -> None:
    query, gallery, query_labels, gallery_labels, protocol = problem
    generator = torch.Generator().manual_seed(len(gallery))
    similarity = torch.rand(len(query), len(gallery), generator=generator)
    order = torch.randperm(len(gallery), generator=generator)
    before = score_queries(MatrixRanking(similarity), query_labels, gallery_labels, RULES[protocol])
    after = score_queries(MatrixRanking(similarity[:, order]), query_labels, gallery_labels[order], RULES[protocol])
    torch.testing.assert_close(before.average_precision, after.average_precision)
    assert before.cmc_rank.tolist() == after.cmc_rank.tolist()
    assert before.worst_rank.tolist() == after.worst_rank.tolist()


@settings(max_examples=40, deadline=None)
@given(problems(), st.sampled_from([2.0**-20, 0.25, 8.0, 2.0**30]))
def test_length_of_the_features_does_not_matter(
    problem: tuple[torch.Tensor, torch.Tensor, Labels, Labels, str], factor: float
) -> None:
    query, gallery, query_labels, gallery_labels, protocol = problem
    rule = RULES[protocol]
    before = score_queries(CosineRanking(query, gallery), query_labels, gallery_labels, rule)
    after = score_queries(CosineRanking(query * factor, gallery), query_labels, gallery_labels, rule)
    assert torch.equal(before.average_precision, after.average_precision)
    assert torch.equal(before.cmc_rank, after.cmc_rank)


@settings(max_examples=40, deadline=None)
@given(problems())
def test_a_duplicated_gallery_doubles_the_worst_rank(
    problem: tuple[torch.Tensor, torch.Tensor, Labels, Labels, str],
) -> None:
    query, gallery, query_labels, gallery_labels, protocol = problem
    generator = torch.Generator().manual_seed(len(gallery))
    similarity = torch.rand(len(query), len(gallery), generator=generator)
    once = score_queries(MatrixRanking(similarity), query_labels, gallery_labels, RULES[protocol])
    twice = score_queries(
        MatrixRanking(torch.cat([similarity, similarity], dim=1)),
        query_labels,
        gallery_labels[torch.arange(len(gallery)).repeat(2)],
        RULES[protocol],
    )
    assert (2 * once.worst_rank).tolist() == twice.worst_rank.tolist()
    assert (2 * once.matches).tolist() == twice.matches.tolist()
    torch.testing.assert_close(once.inverse_negative_penalty, twice.inverse_negative_penalty)
    if RULES[protocol].identity_cmc:
        assert once.cmc_rank.tolist() == twice.cmc_rank.tolist()


@settings(max_examples=40, deadline=None)
@given(problems())
def test_an_irrelevant_identity_at_the_end_changes_nothing(
    problem: tuple[torch.Tensor, torch.Tensor, Labels, Labels, str],
) -> None:
    query, gallery, query_labels, gallery_labels, protocol = problem
    similarity = CosineRanking(query, gallery).block(0, len(query))
    longer = torch.cat([similarity, torch.full((len(query), 1), -2.0)], dim=1)
    stranger = Labels(
        torch.cat([gallery_labels.identities, torch.tensor([99])]),
        torch.cat([gallery_labels.cameras, torch.tensor([1])]),
    )
    before = score_queries(MatrixRanking(similarity), query_labels, gallery_labels, RULES[protocol])
    after = score_queries(MatrixRanking(longer), query_labels, stranger, RULES[protocol])
    assert torch.equal(before.cmc_rank, after.cmc_rank)
    assert torch.equal(before.worst_rank, after.worst_rank)
    assert torch.equal(before.average_precision, after.average_precision)
