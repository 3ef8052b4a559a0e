"""Rankings that improve on plain cosine similarity without training: expanded queries, camera correction."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from vireid.retrieval.ranking import CosineRanking, unit_rows
from vireid.types import VireidError


class ExpandedRanking(CosineRanking):
    """Cosine ranking of expanded queries: each is averaged with its nearest gallery images.

    alpha-weighted query expansion (Radenovic, Tolias, Chum 2019): the new query is the query plus its
    ``count`` nearest gallery rows, each weighted by its similarity to the power ``alpha``; negative
    similarities have weight 0. Like k-reciprocal re-ranking it uses the whole gallery, including images that a
    protocol later removes.
    """

    method = "query-expansion"

    def __init__(self, query: Tensor, gallery: Tensor, *, count: int = 5, alpha: float = 3.0) -> None:
        """Take ``query`` (queries, d) and ``gallery`` (gallery, d) embeddings; raise as `CosineRanking` does.

        ``count`` must be at least 1 and ``alpha`` at least 0, else `VireidError`.
        """
        if count < 1 or alpha < 0:
            raise VireidError(
                f"query expansion: expected count of at least 1 and alpha of at least 0, got {count}, {alpha}"
            )
        super().__init__(query, gallery)
        near = self.top(count)
        weights = near.similarities.clamp_min(0) ** alpha
        for start in range(0, self.queries, _ROWS):
            part = slice(start, start + _ROWS)
            found = self._gallery[near.rows[part]]
            self._query[part] += (weights[part, :, None] * found).sum(dim=1)
        self._query = unit_rows(self._query, "query")


class CameraRanking(CosineRanking):
    """Cosine ranking corrected per camera pair: the mean similarity of its two cameras is subtracted from each value.

    Images from two similar cameras (same modality, same background) look alike whoever they show; the mean over all
    pairs of images of the two cameras measures how much. The mean over all pairs is added back, so that values stay
    comparable with cosines. The means are products of mean embeddings, so no pairs are formed for them. With one
    camera per side there is nothing to correct, and a warning says so.
    """

    method = "camera-aware"

    def __init__(self, query: Tensor, gallery: Tensor, query_cameras: Tensor, gallery_cameras: Tensor) -> None:
        """Take embeddings as `CosineRanking` does, and the cameras of both sides, (queries,) and (gallery,) int64."""
        super().__init__(query, gallery)
        if (len(query_cameras), len(gallery_cameras)) != (self.queries, self.gallery):
            raise VireidError(
                f"cameras: {len(query_cameras)} and {len(gallery_cameras)} labels for {self.queries} queries "
                f"and {self.gallery} gallery images; expected one label per image"
            )
        if query_cameras.is_floating_point() or gallery_cameras.is_floating_point():
            raise VireidError("cameras: expected whole numbers; number the cameras")
        query_means, self._query_camera = _camera_means(self._query, query_cameras)
        gallery_means, self._gallery_camera = _camera_means(self._gallery, gallery_cameras)
        if len(query_means) == len(gallery_means) == 1:
            warnings.warn("camera correction: one camera per side, so nothing to correct", stacklevel=2)
        self._bias = query_means @ gallery_means.T - self._query.mean(dim=0) @ self._gallery.mean(dim=0)

    def block(self, start: int, stop: int) -> Tensor:
        bias = self._bias[self._query_camera[start:stop]][:, self._gallery_camera]
        return super().block(start, stop) - bias


_ROWS = 1024


def _camera_means(embeddings: Tensor, cameras: Tensor) -> tuple[Tensor, Tensor]:
    """Return (cameras, d) mean embeddings and, for every row, the index of its camera's mean."""
    found, index, counts = torch.unique(cameras.to(embeddings.device), return_inverse=True, return_counts=True)
    sums = embeddings.new_zeros(len(found), embeddings.shape[1]).index_add_(0, index, embeddings)
    return sums / counts[:, None], index
