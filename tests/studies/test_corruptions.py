import numpy as np
import pytest
import torch

from tests.reference.corruptions import corrupted
from vireid.studies.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from vireid.types import Modality, VireidError

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 24, 12), dtype=np.uint8))
SMOOTH = torch.linspace(0, 255, 48).round().to(torch.uint8)[None, None, :, None].expand(4, 3, 48, 24).contiguous()
SEEDS = np.array([5, 6, 7, 800_000])


@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_equals_the_naive_form(kind: str, modality: Modality) -> None:
    for strength in (1, 3, 5):
        got = corrupt(IMAGES[:2], kind, strength, modality, SEEDS[:2]).numpy().astype(int)
        expected = np.stack(
            [
                corrupted(one.numpy(), kind, strength, modality, int(s))
                for one, s in zip(IMAGES, SEEDS[:2], strict=False)
            ]
        )
        assert np.abs(got - expected).max() <= 1  # float32 against float64 at the edge of rounding
        assert (got != expected).mean() < 0.002


@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_an_image_depends_on_itself_and_its_seed_alone(kind: str, modality: Modality) -> None:
    before = IMAGES.clone()
    whole = corrupt(IMAGES, kind, 3, modality, SEEDS)
    assert whole.shape == IMAGES.shape
    assert whole.dtype == torch.uint8
    order = [2, 0, 3]
    assert torch.equal(corrupt(IMAGES[order], kind, 3, modality, SEEDS[order]), whole[order])
    channels_last = IMAGES.contiguous(memory_format=torch.channels_last)
    assert torch.equal(corrupt(channels_last, kind, 3, modality, SEEDS), whole)
    assert torch.equal(IMAGES, before)


@pytest.mark.parametrize("kind", ["Gaussian noise", "low light", "occlusion", "fog"])
def test_another_seed_draws_anew(kind: str) -> None:
    same = SMOOTH[:1].expand(2, -1, -1, -1)
    first, second = corrupt(same, kind, 3, Modality.VISIBLE, np.array([1, 2]))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_stronger_one_is_further_from_the_picture(kind: str, modality: Modality) -> None:
    images = SMOOTH if kind not in ("blur", "JPEG") else IMAGES.repeat(1, 1, 6, 6)
    far = [
        (corrupt(images, kind, s, modality, SEEDS).float() - images.float()).square().mean().item() for s in STRENGTHS
    ]
    assert far[0] > 0
    assert far == sorted(far)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_grey_infrared_stays_grey(kind: str) -> None:
    grey = IMAGES[:, :1].expand(-1, 3, -1, -1).contiguous()
    found = corrupt(grey, kind, 4, Modality.INFRARED, SEEDS)
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 0], found[:, 2])


@pytest.mark.parametrize(("kind", "strength"), [("snow", 1), ("fog", 0), ("fog", 6)])
def test_an_unknown_one_is_refused(kind: str, strength: int) -> None:
    with pytest.raises(VireidError, match=r"expected one of .* at 1 to 5"):
        corrupt(IMAGES, kind, strength, Modality.VISIBLE, SEEDS)
