from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import OVERRIDES, tiny_run
from tests.trees import write_sysu
from vireid.data import images
from vireid.recipes import load_recipe
from vireid.reproduce.corruptions import BLUR, CORRUPTIONS, FOG, LIGHT, NOISE, OCCLUSION
from vireid.reproduce.noise import corruption_error, write_noise
from vireid.reproduce.tune import tune

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 40, 20), dtype=np.uint8))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corrupted_image_depends_on_itself_and_its_seed_alone(kind: str) -> None:
    corrupt, many = CORRUPTIONS[kind], IMAGES.repeat(1, 1, 5, 5)
    whole = corrupt(many, 3, [5, 6, 7])
    assert whole.shape == many.shape
    assert whole.dtype == torch.uint8
    assert torch.equal(corrupt(many[1:2], 3, [6]), whole[1:2])
    weak, strong = (corrupt(many, s, [5, 6, 7]).float() - many.float() for s in (1, 5))
    assert strong.square().mean() > weak.square().mean() > 0


def test_against_naive_forms() -> None:
    for strength in (1, 5):
        x = IMAGES.numpy().astype(np.float64)
        for kind, expected in (("low light", LIGHT[strength - 1] * x),
                               ("fog", (1 - FOG[strength - 1]) * x + 220 * FOG[strength - 1])):  # fmt: skip
            got = CORRUPTIONS[kind](IMAGES, strength, [0, 1, 2]).numpy()
            assert np.abs(got - expected).max() <= 0.51
        spread = CORRUPTIONS["Gaussian noise"](torch.full((1, 3, 200, 200), 128, dtype=torch.uint8), strength, [1])
        assert spread.float().std() / 255 == pytest.approx(NOISE[strength - 1], rel=0.1)
        hidden = (CORRUPTIONS["occlusion"](torch.zeros(1, 3, 100, 50, dtype=torch.uint8), strength, [1]) > 0).float()
        assert hidden.mean() == pytest.approx(OCCLUSION[strength - 1], abs=0.02)
        got = CORRUPTIONS["blur"](IMAGES[:1], strength, [0])[0, 0].numpy()
        assert np.abs(got - blurred(x[0, 0], BLUR[strength - 1] * 40)).max() <= 0.51


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    radius = max(1, round(3 * sigma))
    out = np.zeros_like(image)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            total = 0.0
            for a in range(-radius, radius + 1):
                for b in range(-radius, radius + 1):
                    weight = np.exp(-(a * a + b * b) / (2 * sigma**2))
                    y, x = np.clip(i + a, 0, image.shape[0] - 1), np.clip(j + b, 0, image.shape[1] - 1)
                    out[i, j] += weight * image[y, x]
                    total += weight
            out[i, j] /= total
    return out


def test_noise_writes_curve_and_relative_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    run = tiny_run(tmp_path, "schedule.epochs=1")
    folder = write_noise([run], tmp_path / "set", tmp_path / "noise")
    lines = (folder / "noise.csv").read_text().splitlines()
    assert len(lines) == 1 + 6 * 6
    assert lines[1].endswith("1.0000")
    assert (folder / "noise.pdf").exists()
    level = [{"map": 1.0}, *[{"map": 0.5}] * 5]
    assert corruption_error({"fog": [{"map": 1.0}, *[{"map": 0.75}] * 5]}, {"fog": level}) == 0.5  # type: ignore[arg-type]


def test_tune_writes_the_best_and_never_opens_a_test_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    root = write_sysu(tmp_path / "set", train=(1, 2, 3, 4, 10, 11), test=(6, 7), images=2, size=(48, 32))
    opened: list[Path] = []
    original = images.read_bytes
    monkeypatch.setattr("vireid.data.pixels.read_bytes", lambda path: opened.append(path) or original(path))
    small = (*OVERRIDES, "schedule.epochs=1", "training.validation=0.3")
    best = tune("small", root, tmp_path / "out", 2, overrides=small)
    recipe = load_recipe(str(best))
    assert recipe.name == "small-tuned"
    assert opened
    assert not [path for path in opened if path.parent.name in ("0006", "0007")]
    assert (tmp_path / "out" / "tuning.png").exists()
    before = len(opened)
    assert tune("small", root, tmp_path / "out", 2, overrides=small) == best  # resumed: nothing left to do
    assert len(opened) == before
