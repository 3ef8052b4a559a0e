"""Query expansion and camera correction against their definitions."""

from __future__ import annotations

import pytest
import torch

from vireid.retrieval import CameraRanking, CosineRanking, ExpandedRanking
from vireid.types import VireidError


def unit(count: int, seed: int) -> torch.Tensor:
    rows = torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


def test_expanded_queries_equal_a_loop() -> None:
    query, gallery = unit(6, 0), unit(20, 1)
    wanted = []
    for row in query:
        similarity = gallery @ row
        best = similarity.argsort(descending=True)[:3]
        new = row + sum(max(float(similarity[i]), 0.0) ** 2 * gallery[i] for i in best)
        wanted.append(gallery @ (new / new.norm()))
    found = ExpandedRanking(query * 3, gallery, count=3, alpha=2.0).block(0, 6)
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-6, rtol=0)


def test_camera_means_equal_a_loop() -> None:
    query, gallery = unit(10, 0), unit(14, 1)
    query_cameras, gallery_cameras = torch.arange(10) % 3 + 3, torch.arange(14) % 2
    plain = query @ gallery.T
    wanted = plain.clone()
    for a in range(10):
        for b in range(14):
            pair = (query_cameras == query_cameras[a])[:, None] & (gallery_cameras == gallery_cameras[b])
            wanted[a, b] += plain.mean() - plain[pair].mean()
    ranking = CameraRanking(query, gallery * 5, query_cameras, gallery_cameras)
    torch.testing.assert_close(ranking.block(0, 10), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(ranking.block(4, 7), wanted[4:7], atol=1e-6, rtol=0)


def test_camera_correction_undoes_a_camera_offset() -> None:
    identities = unit(20, 3)
    offset = 3 * unit(2, 4)
    cameras = torch.arange(40) // 20
    gallery = identities.repeat(2, 1) + offset[cameras]
    query = identities + offset[0]
    plain = CosineRanking(query, gallery).top(2).rows
    corrected = CameraRanking(query, gallery, torch.zeros(20, dtype=torch.int64), cameras).top(2).rows
    both = {(row, row + 20) for row in range(20)}
    assert sum(tuple(sorted(row)) in both for row in corrected.tolist()) > sum(
        tuple(sorted(row)) in both for row in plain.tolist()
    )


def test_one_camera_changes_nothing() -> None:
    query, gallery = unit(4, 0), unit(5, 1)
    with pytest.warns(UserWarning, match="one camera per side"):
        ranking = CameraRanking(query, gallery, torch.full((4,), 6), torch.full((5,), 1))
    torch.testing.assert_close(ranking.block(0, 4), query @ gallery.T, atol=1e-6, rtol=0)


def test_missing_camera_labels() -> None:
    with pytest.raises(VireidError, match="cameras: 3 and 5 labels for 4 queries and 5 gallery images"):
        CameraRanking(unit(4, 0), unit(5, 1), torch.ones(3), torch.zeros(5))
    with pytest.raises(VireidError, match="cameras: expected whole numbers"):
        CameraRanking(unit(4, 0), unit(5, 1), torch.full((4,), torch.nan), torch.zeros(5))


@pytest.mark.parametrize("parameters", [{"count": 0}, {"alpha": -1.0}])
def test_bad_expansion(parameters: dict[str, float]) -> None:
    with pytest.raises(VireidError, match="query expansion: expected count of at least 1"):
        ExpandedRanking(unit(4, 0), unit(5, 1), **parameters)  # type: ignore[arg-type]
