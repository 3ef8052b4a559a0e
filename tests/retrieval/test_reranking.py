"""k-reciprocal re-ranking against the full-matrix float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.reference.reranking import k_reciprocal_distance
from vireid.retrieval import KReciprocalRanking, neighbours, reranking
from vireid.types import VireidError


def clusters(identities: int, images: int, dimensions: int, noise: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(identities, dimensions, generator=generator).repeat(images, 1)
    return centres + noise * torch.randn(len(centres), dimensions, generator=generator)


def compare(query: torch.Tensor, gallery: torch.Tensor, **parameters: float) -> None:
    wanted = k_reciprocal_distance(query.numpy(), gallery.numpy(), **parameters)  # type: ignore[arg-type]
    ranking = KReciprocalRanking(query, gallery, **parameters)  # type: ignore[arg-type]
    found = 1 - torch.cat([block for _, block in ranking.blocks(values=len(gallery) * 7)])
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-10)
    order = ranking.top(len(gallery)).rows.numpy()
    steps = np.take_along_axis(wanted, order, axis=1)
    assert (np.diff(steps, axis=1) > -1e-12).all()


@pytest.mark.parametrize("noise", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_equals_the_reference(noise: float, dtype: torch.dtype) -> None:
    images = clusters(25, 10, 48, noise).to(dtype)
    compare(images[:150], images[150:])


@pytest.mark.parametrize(
    "parameters", [{"k1": 1, "k2": 1}, {"k1": 5, "k2": 9, "weight": 0.7}, {"k1": 7, "k2": 1, "weight": 0.0}]
)
def test_equals_the_reference_for_other_parameters(parameters: dict[str, float]) -> None:
    images = clusters(12, 6, 16, 1.0)
    compare(images[:30], images[30:], **parameters)


def test_equals_the_reference_over_many_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_TILE", 32)
    monkeypatch.setattr(reranking, "_ROWS", 20)
    monkeypatch.setattr(reranking, "_MEETINGS", 500)
    images = clusters(25, 8, 32, 1.5)
    compare(images[:90], images[90:])


def test_exact_ties_take_the_gallery_order() -> None:
    # Rows of +-1 in 16 dimensions: every product is exact, duplicates and equal similarities abound.
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 2, (80, 16), generator=generator).float() * 2 - 1
    images[40:50] = images[10:20]
    compare(images[:30], images[30:], k1=6, k2=3)


def test_fewer_images_than_k1_use_all_of_them_and_warn() -> None:
    images = clusters(3, 3, 8, 1.0)
    with pytest.warns(UserWarning, match="k1 20 is not below the 9 images"):
        compare(images[:4], images[4:])


def test_identical_images_have_no_nan() -> None:
    images = torch.ones(30, 4)
    assert bool(torch.isfinite(KReciprocalRanking(images[:10], images[10:]).block(0, 10)).all())


@pytest.mark.parametrize("parameters", [{"k1": 0}, {"k2": 0}, {"weight": 1.5}])
def test_bad_parameters(parameters: dict[str, float]) -> None:
    with pytest.raises(VireidError, match="re-ranking: expected"):
        KReciprocalRanking(torch.ones(2, 2), torch.ones(2, 2), **parameters)  # type: ignore[arg-type]


def test_bad_embeddings() -> None:
    with pytest.raises(VireidError, match="query: row 0 holds NaN"):
        KReciprocalRanking(torch.tensor([[torch.nan, 1.0]]), torch.ones(2, 2))
    with pytest.raises(VireidError, match="gallery: no embeddings"):
        KReciprocalRanking(torch.ones(2, 2), torch.ones(0, 2))
    with pytest.raises(VireidError, match="2 dimensions, gallery 3"):
        KReciprocalRanking(torch.ones(2, 2), torch.ones(2, 3))
