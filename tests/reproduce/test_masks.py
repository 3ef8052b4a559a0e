import numpy as np
import pytest
import torch

from tests.reference.weakening import response
from vireid.reproduce.masks import body_correlation, body_share


def test_how_much_of_a_response_lies_on_the_body() -> None:
    features = torch.rand(4, 3, 6, 3, generator=torch.Generator().manual_seed(0))
    masks = np.random.default_rng(0).random((4, 24, 12)) < 0.4
    areas = masks.reshape(4, 6, 4, 3, 4).mean((2, 4))
    for k, f in enumerate(response(image) for image in features.double().numpy()):
        above = f - f.min()
        assert body_share(features, masks)[k] == pytest.approx((above * areas[k]).sum() / above.sum(), rel=1e-5)
        expected = np.corrcoef(f.ravel(), areas[k].ravel())[0, 1]
        assert body_correlation(features, masks)[k] == pytest.approx(expected, abs=1e-5)


def test_a_constant_part_does_not_hide_where_the_rest_lies() -> None:
    """A response on the body alone, over a constant: all of what can move is on the body."""
    masks = np.zeros((1, 8, 4), dtype=bool)
    masks[:, :4] = True
    features = 100 + torch.from_numpy(masks).float()[:, None]
    assert body_share(features, masks) == pytest.approx(1)
    assert body_correlation(features, masks) == pytest.approx(1)
    assert np.isnan(body_correlation(torch.ones(1, 2, 8, 4), masks)).all()
