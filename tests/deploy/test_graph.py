"""Every form of the parts that the graph rewrites or must carry over gives PyTorch's values in ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from vireid.config import ModelConfig
from vireid.data.augment import normalise
from vireid.deploy.graph import ModalityGraph, _CubicMean
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
@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_folding_changes_nothing(backbone: str, modality: Modality) -> None:
    torch.manual_seed(0)
    network = TwoStreamNetwork(ModelConfig(backbone=backbone, base_width=8, weights="none"), 3)  # type: ignore[arg-type]
    images = torch.randint(0, 256, (4, 64, 32, 3), dtype=torch.uint8)
    pixels = normalise(images.permute(0, 3, 1, 2))
    network(pixels, pixels)  # running statistics other than 0 and 1
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    graph = ModalityGraph(network, modality).eval()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in graph.modules())
    with torch.no_grad():
        output = network(*((pixels, None) if modality is Modality.VISIBLE else (None, pixels)))
        torch.testing.assert_close(graph(images)[0], embedding(output.normed), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
