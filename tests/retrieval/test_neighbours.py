"""Blocked searches against a full sort."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vireid.retrieval import GalleryIndex, nearest, neighbours
from vireid.types import VireidError


def full_sort(query: torch.Tensor, gallery: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    sides = [side.double() / side.double().norm(dim=1, keepdim=True) for side in (query, gallery)]
    values, rows = (sides[0] @ sides[1].T).sort(dim=1, descending=True, stable=True)
    return rows[:, :k], values[:, :k]


def distinct(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 24, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("block", [1, 7, 64, 4096])
@pytest.mark.parametrize("k", [1, 20, 100])
def test_equals_a_full_sort(monkeypatch: pytest.MonkeyPatch, block: int, k: int) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    query, gallery = distinct(9, 1), distinct(100, 2)
    found = nearest(query, gallery, k)
    rows, values = full_sort(query, gallery, k)
    assert torch.equal(found.rows, rows)
    torch.testing.assert_close(found.similarities, values.float(), atol=1e-6, rtol=0)
    assert (found.method, found.recall) == ("exact", 1.0)


def test_equals_fall_in_gallery_order_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", 8)
    # Every row is one of four unit vectors: exact products, ties everywhere.
    gallery = torch.eye(4)[torch.arange(50) % 4]
    found = nearest(torch.eye(4), gallery, 20)
    assert torch.equal(found.rows, full_sort(torch.eye(4), gallery, 20)[0])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", 8)
    before = torch.get_num_threads()
    # Two copies of the gallery: every row has an equal, most of them in another thread's part.
    gallery = distinct(48, 2).repeat(2, 1)
    wanted = nearest(distinct(5, 1), gallery, 20)
    torch.set_num_threads(threads)
    try:
        found = nearest(distinct(5, 1), gallery, 20)
        assert torch.get_num_threads() == threads
        gallery[70] = torch.nan
        with pytest.raises(VireidError, match="gallery: row 70 holds NaN"):
            nearest(distinct(5, 1), gallery, 20)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    rows, _ = full_sort(distinct(5, 1), gallery[:48], 10)
    assert torch.equal(found.rows, torch.stack([rows, rows + 48], dim=2).flatten(1))
    assert torch.equal(found.similarities, wanted.similarities)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_memory_mapped_gallery(tmp_path: Path, dtype: type) -> None:
    gallery = distinct(5000, 3).numpy().astype(dtype)
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    query = distinct(3, 4)
    found = nearest(query, mapped, 10)
    assert torch.equal(found.rows, full_sort(query, torch.from_numpy(gallery), 10)[0])


def test_tiny_and_huge_rows_are_found() -> None:
    gallery = distinct(30, 6) * torch.logspace(-36, 36, 30)[:, None]
    found = nearest(distinct(4, 7), gallery, 30)
    assert torch.equal(found.rows, full_sort(distinct(4, 7), gallery.double(), 30)[0])


def test_gallery_smaller_than_k() -> None:
    with pytest.warns(UserWarning, match="the gallery has 3 rows, fewer than the 5 asked for"):
        assert nearest(distinct(2, 0), distinct(3, 1), 5).rows.shape == (2, 3)


def test_bad_galleries() -> None:
    query = torch.ones(1, 2)
    gallery = torch.ones(5000, 2)
    gallery[4999] = 0
    with pytest.raises(VireidError, match="gallery: row 4999 is all zeros"):
        nearest(query, gallery, 1)
    with pytest.raises(VireidError, match="gallery: no embeddings"):
        nearest(query, torch.ones(0, 2), 1)
    with pytest.raises(VireidError, match=r"query \(1, 2\) and gallery \(2, 3\) differ"):
        nearest(query, torch.ones(2, 3), 1)
    with pytest.raises(VireidError, match="k of at least 1"):
        nearest(query, torch.ones(2, 2), 0)
    with pytest.raises(VireidError, match="query: expected a tensor, got ndarray"):
        nearest(np.ones((1, 2)), gallery, 1)  # type: ignore[arg-type]
    for array in (np.ones((2, 2), ">f4"), np.ones((2, 2))[::-1], [[1.0, 1.0]]):
        with pytest.raises(VireidError, match="gallery: expected a tensor or a plain array"):
            nearest(query, array, 1)  # type: ignore[arg-type]
    with pytest.raises(VireidError, match="gallery: expected floating-point embeddings"):
        GalleryIndex(np.ones((2, 2), int))  # type: ignore[arg-type]
    with pytest.raises(VireidError, match="visited: expected a share above 0, at most 1, got 0"):
        GalleryIndex(torch.ones(2, 2), visited=0)


@pytest.mark.parametrize("tile", [1, 5, 16, 2048])
def test_self_neighbours_equal_a_full_sort(monkeypatch: pytest.MonkeyPatch, tile: int) -> None:
    monkeypatch.setattr(neighbours, "_TILE", tile)
    unit = torch.nn.functional.normalize(distinct(60, 5))
    found, farthest = neighbours.self_neighbours(unit, 12)
    rows, _ = full_sort(unit, unit, 60)
    assert torch.equal(found.rows, rows[:, :12])
    assert torch.equal(farthest, rows[:, -1])


def test_near_ties_are_settled_in_float64() -> None:
    # Rows 1 and 2 differ by less than float32 resolves, and the wrong one comes first.
    unit = torch.tensor([[1.0, 0.0], [1 - 2e-9, 6e-5], [1 - 1e-9, 4e-5], [0.0, 1.0]], dtype=torch.float64)
    found = neighbours.Neighbours(
        torch.tensor([[0, 1, 2, 3]]).expand(4, 4), torch.tensor([[1.0, 1.0, 1.0, 0.0]]).expand(4, 4)
    )
    assert neighbours.settle_near_ties(unit, found, (2,))[0].tolist() == [0, 2, 1, 3]
    assert neighbours.settle_near_ties(unit, found, (3,))[0].tolist() == [0, 1, 2, 3]


def test_without_faiss_the_search_is_exact_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.warns(UserWarning, match="faiss is not installed"):
        index = GalleryIndex(distinct(50, 1), approximate=True)
    found = index.search(distinct(2, 0), 4)
    assert (found.method, found.recall, found.answered_by) == ("exact", 1.0, "exact")
    assert torch.equal(found.rows, nearest(distinct(2, 0), distinct(50, 1), 4).rows)


def test_faiss_of_a_tiny_gallery_finds_everything_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    query, gallery = distinct(4, 0), distinct(9, 1)
    found = GalleryIndex(gallery, approximate=True).search(query, 3)
    assert torch.equal(found.rows, nearest(query, gallery, 3).rows)
    assert found.answered_by == "faiss, recall 1.00 on 4 queries"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mapped", [False, True])
def test_faiss_states_its_recall(tmp_path: Path, mapped: bool) -> None:
    query, gallery = distinct(40, 1), distinct(6000, 2)
    source: torch.Tensor | np.ndarray = gallery  # type: ignore[type-arg]
    if mapped:
        np.save(tmp_path / "gallery.npy", gallery.numpy())
        source = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    wanted = nearest(query, gallery, 10)
    for visited in (0.05, 1.0):
        found = GalleryIndex(source, approximate=True, visited=visited).search(query, 10)
        hits = (found.rows[:, :, None] == wanted.rows[:, None]).any(dim=2)[:32]
        assert found.method == "faiss"
        assert found.answered_by == f"faiss, recall {found.recall:.2f} on 32 queries"
        assert found.recall == pytest.approx(float(hits.double().mean()))
        assert (found.similarities.diff(dim=1) <= 0).all()
    assert found.recall > 0.98
