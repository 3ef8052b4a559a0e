"""Similarity, its checks, and the order of a ranking."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vireid.retrieval import CosineRanking, KReciprocalRanking, MatrixRanking
from vireid.retrieval.ranking import stable_topk, unit_rows
from vireid.types import VireidError


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_cosine_equals_the_definition(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    query, gallery = (torch.randn(n, 40, generator=generator).to(dtype) for n in (7, 11))
    wanted = torch.tensor([[float(q @ g / (q.norm() * g.norm())) for g in gallery.double()] for q in query.double()])
    ranking = CosineRanking(query, gallery)
    torch.testing.assert_close(ranking.block(0, 7), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.cat([block for _, block in ranking.blocks(values=25)]), ranking.block(0, 7))
    torch.testing.assert_close(ranking.block(2, 5), wanted[2:5], atol=1e-6, rtol=0)


def test_tiny_and_huge_features_have_a_cosine() -> None:
    features = torch.tensor([[1e-40, 0.0], [3e38, 3e38], [1.0, 0.0]])
    torch.testing.assert_close(unit_rows(features, "x").norm(dim=1), torch.ones(3))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.tensor([[1.0], [torch.nan]]), "query: row 1 holds NaN or infinite"),
        (torch.tensor([[torch.inf], [1.0]]), "query: row 0 holds NaN or infinite"),
        (torch.tensor([[1.0], [1.0], [0.0]]), "query: row 2 is all zeros"),
        (torch.ones(0, 1), "query: no embeddings"),
        (torch.ones(3), "query: expected floating-point embeddings of shape"),
        (torch.ones(3, 1, dtype=torch.int64), "got int64"),
        (torch.ones(3, 2), "query embeddings have 2 dimensions, gallery embeddings 1"),
    ],
)
def test_embeddings_without_a_cosine(features: torch.Tensor, message: str) -> None:
    with pytest.raises(VireidError, match=message):
        CosineRanking(features, torch.ones(2, 1))


def test_row_number_beyond_the_first_chunk() -> None:
    features = torch.ones(5000, 1)
    features[4500] = torch.nan
    with pytest.raises(VireidError, match="gallery: row 4500"):
        CosineRanking(torch.ones(1, 1), features)


def test_matrix_with_nan_is_refused() -> None:
    with pytest.raises(VireidError, match="without NaN"):
        MatrixRanking(torch.tensor([[torch.nan]]))


def test_empty_matrix_is_refused() -> None:
    with pytest.raises(VireidError, match=r"nothing to rank in a matrix of shape \(2, 0\)"):
        MatrixRanking(torch.ones(2, 0))


def test_blocks_may_be_overwritten() -> None:
    matrix = torch.rand(3, 4)
    before = matrix.clone()
    for _, block in MatrixRanking(matrix).blocks():
        block.fill_(7)
    assert torch.equal(matrix, before)


@pytest.mark.parametrize("levels", [1, 2, 5, 1000, 1e6])
@pytest.mark.parametrize(
    ("width", "k"), [(30, 1), (30, 4), (30, 29), (30, 30), (301, 1), (301, 8), (301, 9), (301, 40)]
)
def test_topk_equals_a_stable_sort(levels: float, width: int, k: int) -> None:
    generator = torch.Generator().manual_seed(int(levels))
    similarity = (torch.rand(50, width, generator=generator) * levels).floor()
    values, order = similarity.sort(dim=1, descending=True, stable=True)
    columns, found = stable_topk(similarity, k)
    assert torch.equal(columns, order[:, :k])
    assert torch.equal(found, values[:, :k])


def test_top_is_limited_to_the_gallery() -> None:
    ranking = MatrixRanking(torch.tensor([[0.1, 0.5, 0.5]]))
    with pytest.warns(UserWarning, match="the gallery has 3 rows, fewer than the 10 asked for"):
        best = ranking.top(10)
    assert best.rows.tolist() == [[1, 2, 0]]
    assert (best.method, best.recall, len(best)) == ("exact", 1.0, 1)
    with pytest.raises(VireidError, match="k of at least 1, got 0"):
        ranking.top(0)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("values", [1, 400, 6000, 1 << 20])
def test_map_covers_every_query_once_within_its_memory(threads: int, values: int) -> None:
    matrix = torch.rand(203, 20, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = MatrixRanking(matrix).map(lambda rows, block: (rows, block), values)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert [row for rows, _ in found for row in range(rows.start, rows.stop)] == list(range(203))
    assert torch.equal(torch.cat([block for _, block in found]), matrix)
    largest = max(block.numel() for _, block in found)
    assert largest <= max(20, values)
    if values == 6000:  # enough for blocks of 100 queries in each of three threads
        assert largest * threads <= values


def test_what_is_no_tensor_is_refused_by_name() -> None:
    array = np.ones((2, 3), np.float32)
    for make in (CosineRanking, KReciprocalRanking):
        with pytest.raises(VireidError, match="query: expected a tensor, got ndarray; "):
            make(array, array)  # type: ignore[arg-type]
    with pytest.raises(VireidError, match="similarity: expected a floating-point"):
        MatrixRanking(array)  # type: ignore[arg-type]
