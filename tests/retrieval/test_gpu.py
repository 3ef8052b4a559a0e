"""The GPU's answers are those of the CPU."""

from __future__ import annotations

import pytest
import torch

from vireid.evaluation import RULES, Labels, score_queries
from vireid.retrieval import CameraRanking, CosineRanking, ExpandedRanking, KReciprocalRanking, Ranking, nearest

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
IDENTITIES = torch.arange(200) % 25
CAMERAS = torch.arange(200) % 2 + 1


def ranking(kind: type[Ranking], features: torch.Tensor) -> Ranking:
    query, gallery = features[:80], features[80:]
    if kind is CameraRanking:
        cameras = CAMERAS.to(features.device)
        return CameraRanking(query, gallery, cameras[:80], cameras[80:])
    return kind(query, gallery)


@pytest.mark.parametrize("kind", [CosineRanking, KReciprocalRanking, ExpandedRanking, CameraRanking])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_rankings_scores_and_search(kind: type[Ranking], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(25, 64, generator=generator)
    features = (centres[IDENTITIES] + torch.randn(200, 64, generator=generator)).to(dtype)
    labels = Labels(IDENTITIES, CAMERAS)
    here, there = ranking(kind, features), ranking(kind, features.cuda())
    torch.testing.assert_close(there.block(0, 80).cpu(), here.block(0, 80), atol=1e-5, rtol=0)
    scores = [score_queries(r, labels[:80], labels[80:], RULES["llcm"]).average_precision.cpu() for r in (here, there)]
    torch.testing.assert_close(*scores, atol=1e-6, rtol=0)
    for gallery in (features[80:], features[80:].cuda()):
        found = nearest(features[:80].cuda(), gallery, 10)
        assert torch.equal(found.rows.cpu(), nearest(features[:80], features[80:], 10).rows)
