from pathlib import Path

import pytest
import torch

from tests.tiny import tiny_dataset, tiny_recipe
from vireid.data.augment import normalise
from vireid.data.pixels import PixelStore
from vireid.models.network import build_network, embedding
from vireid.training import features as module
from vireid.training.features import network_features
from vireid.types import FeatureKind, Modality


def test_embed_equals_one_image_at_a_time_in_the_samples_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 5)
    dataset = tiny_dataset(tmp_path / "set")
    samples = dataset.test[::-1]
    store = PixelStore.build(samples, 48, 32, cache=tmp_path / "cache")
    network = build_network(tiny_recipe().model, 3)
    network(torch.rand(8, 3, 48, 32), torch.rand(8, 3, 48, 32))  # running statistics other than 0 and 1
    for flip in (False, True):
        found = network_features(network.train(), store, samples, flip=flip)
        assert network.training
        network.eval()
        for row, sample in enumerate(samples):
            image = normalise(store.batch(torch.tensor([row])))
            views = [image, image.flip(3)] if flip else [image]
            outputs = [network(v, None) if sample.modality is Modality.VISIBLE else network(None, v) for v in views]
            for kind, of in ((FeatureKind.AFTER_BNNECK, "normed"), (FeatureKind.BEFORE_BNNECK, "pooled")):
                mean = torch.stack([embedding(getattr(o, of))[0] for o in outputs]).mean(0)
                expected = mean / mean.norm()
                torch.testing.assert_close(found[kind].embeddings[row], expected, rtol=1e-4, atol=1e-5)
                assert int(found[kind].identities[row]) == sample.identity
                assert int(found[kind].modalities[row]) == sample.modality
