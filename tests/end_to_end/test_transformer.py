"""The recipe vit-dfw at a size for tests: trained, stopped and resumed, looked into, exported and quantised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.tiny import OVERRIDES, tiny_dataset
from tests.training.test_run import losses, stop_after
from vireid.data.layouts import open_dataset
from vireid.deploy.export import export_run
from vireid.deploy.load import load_embedder
from vireid.models.network import build_network
from vireid.recipes import load_recipe
from vireid.report.pictures import stage_maps
from vireid.training.checkpoint import load_run
from vireid.training.run import train
from vireid.types import Modality

SMALL = (
    *(field for field in OVERRIDES if not field.startswith(("model.backbone", "model.base_width", "schedule.m"))),
    *("schedule.epochs=2", "schedule.lr=0.02", "model.options.depth=5", "model.options.width=24"),
    *("model.options.heads=2", "model.options.stride=8"),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 48, 32, 3), dtype=np.uint8)


def run_in(folder: Path, out: str, resume: bool = False) -> Path:
    dataset = open_dataset(folder / "set") if (folder / "set").exists() else tiny_dataset(folder / "set")
    recipe, device = load_recipe("vit-dfw", SMALL), torch.device("cpu")
    return train(recipe, dataset, folder / out, resume=resume, device=device, cache=folder / "cache")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("transformer"), "whole")


def test_a_stopped_run_resumes_bit_for_bit(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            run_in(run.parent, "parts")
    parts = run_in(run.parent, "parts", resume=True)
    assert losses(parts) == losses(run)
    assert (parts / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_it_learns_a_few_people() -> None:
    recipe = load_recipe("vit-dfw", SMALL)
    torch.manual_seed(0)
    network = build_network(recipe.model, 4, size=recipe.data.size).train()
    images, labels = torch.randn(16, 3, *recipe.data.size), torch.arange(16) % 4
    optimizer = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9)
    found = []
    for _ in range(40):
        loss = sum(torch.nn.functional.cross_entropy(x, labels) for x in network(images[:8], images[8:]).logits)
        assert isinstance(loss, torch.Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < found[0] / 4


def test_response_maps_show_the_grid_of_every_stage(run: Path) -> None:
    network = load_run(run).network
    maps = stage_maps(network, torch.from_numpy(IMAGES).permute(0, 3, 1, 2), Modality.INFRARED)
    assert list(maps) == ["layer2", "layer2 after DFW", "layer3", "layer3 after DFW", "branch 1", "branch 2"]
    assert {tuple(x.shape) for x in maps.values()} == {(5, 24, 5, 3)}
    for name in ("layer2", "layer3"):
        torch.testing.assert_close(maps[f"{name} after DFW"], network.weakening[name](maps[name]))


@pytest.mark.parametrize("int8", [False, True])
def test_an_export_gives_the_runs_features_and_responses(run: Path, int8: bool, tmp_path: Path) -> None:
    folder, manifest = export_run(run, int8=int8, out=tmp_path / "export", cache=run.parent / "cache")
    ours, theirs = load_embedder(run), load_embedder(folder, threads=1)
    assert (ours.fingerprint, ours.dimension) == (theirs.fingerprint, 48)
    for modality in Modality:
        expected, found = ours.embed(IMAGES, modality), theirs.embed(IMAGES, modality)
        assert (expected * found).sum(1).min() > (0.99 if int8 else 0.99999)
        if not int8:
            np.testing.assert_allclose(theirs.response(IMAGES, modality), ours.response(IMAGES, modality), atol=1e-3)
        graph = onnx.load(folder / f"{modality}.onnx").graph
        integers = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
        of_linear = [node.name for node in graph.node if node.op_type == "MatMul" and set(node.input) <= integers]
        kept = manifest.graphs[str(modality)].float_blocks  # type: ignore[index]
        # 4 linear layers in each of 4 shared blocks (one of them a layer1) and 2 branches; attention's products are not
        assert len(of_linear) == (4 * (6 - len(set(kept) - {str(modality)})) if int8 else 0)
        assert not any("scaled_dot_product" in name for name in of_linear)
        assert not any(set(node.input) & integers for node in graph.node if node.op_type in ("Add", "Softmax"))
