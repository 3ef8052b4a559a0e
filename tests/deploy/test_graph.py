"""Every form of the parts that the graph rewrites or must carry over gives PyTorch's values in ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from vireid.config import ModelConfig
from vireid.data.augment import normalise
from vireid.deploy.graph import INPUT, ModalityGraph, _CubicMean, to_onnx
from vireid.models.network import TwoStreamNetwork, embedding
from vireid.models.pooling import generalised_mean
from vireid.models.weakening import DynamicFeatureWeakening
from vireid.types import Modality


@pytest.mark.parametrize(("matrix", "gate"), [("D1", "none"), ("D2", "sigmoid"), ("D3", "sigmoid")])
def test_weakening_survives_the_export(tmp_path: Path, matrix: str, gate: str) -> None:
    module = DynamicFeatureWeakening(matrix, gate=gate).eval()  # type: ignore[arg-type]
    features = torch.rand(3, 8, 6, 3)
    torch.onnx.export(module, (features,), tmp_path / "m.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    found = session.run(None, {session.get_inputs()[0].name: features.numpy()})[0]
    np.testing.assert_allclose(found, module(features).numpy(), atol=1e-6)


def test_pooling_by_multiplications_equals_the_generalised_mean() -> None:
    maps = torch.rand(2, 5, 4, 3) * torch.tensor([0.0, 1e-3, 1, 50, 1e4])[None, :, None, None]
    torch.testing.assert_close(_CubicMean()(maps), generalised_mean(maps, 3, (2, 3)), rtol=1e-5, atol=0)


@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "resnet18_ibn_a"])
def test_folding_changes_nothing(backbone: str, modality: Modality) -> None:
    torch.manual_seed(0)
    network = TwoStreamNetwork(ModelConfig(backbone=backbone, base_width=8, weights="none"), 3)
    images = torch.randint(0, 256, (4, 64, 32, 3), dtype=torch.uint8)
    pixels = normalise(images.permute(0, 3, 1, 2))
    network(pixels, pixels)  # running statistics other than 0 and 1
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    graph = ModalityGraph(network, modality).eval()
    left = [name for name, part in graph.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert all(name.endswith("bn1.BN") for name in left)  # half of an IBN's channels
    assert bool(left) == backbone.endswith("ibn_a")
    with torch.no_grad():
        output = network(*((pixels, None) if modality is Modality.VISIBLE else (None, pixels)))
        torch.testing.assert_close(graph(images)[0], embedding(output.normed), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_with_instance_normalisation_survives_the_export() -> None:
    torch.manual_seed(0)
    network = TwoStreamNetwork(ModelConfig(backbone="resnet18_ibn_a", base_width=8, branches=1), 3).eval()
    images = torch.randint(0, 256, (3, 64, 32, 3), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(to_onnx(network, Modality.INFRARED, 64, 32).SerializeToString())
    with torch.no_grad():
        expected = ModalityGraph(network, Modality.INFRARED).eval()(images)
    for found, value in zip(session.run(None, {INPUT: images.numpy()}), expected, strict=True):
        np.testing.assert_allclose(found, value.numpy(), atol=1e-4)
