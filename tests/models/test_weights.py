from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.models.conftest import SmallNetwork
from tests.reference.resnet import torchvision_state
from vireid.config import ModelConfig
from vireid.models.network import TwoStreamNetwork, build_network
from vireid.models.weights import download, load_trunk, read_tensors
from vireid.types import VireidError


def save(state: dict[str, Any], path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


def config(path: Path | str, backbone: Any = "resnet18", **fields: Any) -> ModelConfig:
    return ModelConfig(backbone=backbone, base_width=8, weights=str(path), **fields)


def assert_holds(network: TwoStreamNetwork, state: dict[str, Tensor]) -> None:
    """Every tensor of the trunk, in both stems and every branch, is the file's."""
    own = network.state_dict()
    for name, value in state.items():
        if name.startswith("fc."):
            continue
        elif name.startswith(("conv1", "bn1", "layer1")):
            places = [f"visible.{name}", f"infrared.{name}"]
        elif name.startswith("layer4"):
            places = [f"branches.{b}.{name}" for b in range(len(network.branches))]
        else:
            places = [name]
        assert all(torch.equal(own[place], value) for place in places), name


def error_of(settings: ModelConfig) -> str:
    """The one line `build_network` fails with."""
    with pytest.raises(VireidError) as caught:
        build_network(settings, 3)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights.pt", "pytorch_model.bin"])
@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_loads_torchvision_names_into_every_copy(tmp_path: Path, name: str, backbone: Any) -> None:
    state = torchvision_state(backbone, width=8, classes=4)
    path = save(state, tmp_path / name)
    assert_holds(build_network(config(path, backbone, branches=3), 5), state)


def test_the_copies_do_not_share_memory(tmp_path: Path) -> None:
    path = save(torchvision_state("resnet18", width=8), tmp_path / "weights.pth")
    network: Any = build_network(config(path), 5)
    with torch.no_grad():
        network.infrared.conv1.weight.zero_()
        network.branches[1].get_submodule("layer4.0.conv1").weight.zero_()
    assert network.visible.conv1.weight.abs().sum() > 0
    assert network.branches[0].get_submodule("layer4.0.conv1").weight.abs().sum() > 0


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_old_weights_without_batch_counts(tmp_path: Path, name: str) -> None:
    state = torchvision_state("resnet34", width=8)
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    network = build_network(config(save(state, tmp_path / name), "resnet34"), 5)
    assert_holds(network, state)
    assert network.visible.bn1.num_batches_tracked == 0


def test_a_headless_timm_file_wrapped_and_prefixed(tmp_path: Path) -> None:
    """Names as timm and torchvision have them, wrapped by a training script, prefixed by DataParallel."""
    state = {k: v for k, v in torchvision_state("resnet18", width=8).items() if not k.startswith("fc.")}
    wrapped = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}
    assert_holds(build_network(config(save(wrapped, tmp_path / "weights.pth")), 5), state)


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in torchvision_state("resnet18", 8).items()}
    network = build_network(config(save(state, tmp_path / "weights.safetensors")), 5)
    assert network.layer2.state_dict()["0.conv1.weight"].dtype == torch.float32
    assert torch.equal(network.visible.conv1.weight, state["conv1.weight"].float())


def test_none_starts_from_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vireid.models.network.load_trunk", lambda *_: pytest.fail("read weights"))
    build_network(config("none"), 3)


@pytest.mark.parametrize(
    ("held", "wanted", "width", "reason"),
    [
        ("resnet50", "resnet18", 8, "layer1.0.conv1.weight has shape (8, 8, 1, 1), expected (8, 8, 3, 3)"),
        ("resnet18", "resnet50", 8, "layer1.0.conv1.weight has shape"),
        ("resnet18", "resnet34", 8, "layer1.2.conv1.weight is missing"),
        ("resnet34", "resnet18", 8, "layer1.2.bn1.bias has no place"),
        ("resnet101", "resnet50", 8, "layer3.10.bn1.bias has no place"),
        ("resnet18", "resnet18", 16, "conv1.weight has shape (16, 3, 7, 7), expected (8, 3, 7, 7)"),
    ],
)
def test_weights_of_another_architecture(tmp_path: Path, held: str, wanted: str, width: int, reason: str) -> None:
    """A ResNet-34 holds all tensors of a ResNet-18, a ResNet-101 those of a ResNet-50: no fit either."""
    path = save(torchvision_state(held, width=width, classes=4), tmp_path / "weights.pth")
    message = error_of(config(path, wanted))
    assert str(path) in message
    assert reason in message
    assert f"{wanted} (base_width 8)" in message


def test_a_misfit_changes_nothing(tmp_path: Path, small_network: SmallNetwork) -> None:
    state = torchvision_state("resnet18", width=8)
    del state["layer4.1.bn2.bias"]
    path = save(state, tmp_path / "weights.pth")
    network = small_network(weights=str(path))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(VireidError, match=r"layer4\.1\.bn2\.bias is missing"):
        load_trunk(network.trunk(), network.backbone)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("kept", [0, 3, 1000, -1])
def test_a_truncated_file(tmp_path: Path, name: str, kept: int) -> None:
    path = save(torchvision_state("resnet18", width=8, classes=4), tmp_path / name)
    path.write_bytes(path.read_bytes()[:kept])
    message = error_of(config(path))
    assert message.startswith(f"{path}: ")
    assert "intact" in message


class Attack:
    """Unpickled carelessly it creates the file ``mark``."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt"])
def test_a_malicious_pickle_is_not_executed(tmp_path: Path, legacy: bool, suffix: str) -> None:
    mark, path = tmp_path / "executed", tmp_path / f"weights{suffix}"
    torch.save({"conv1.weight": Attack(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(VireidError) as caught:
        read_tensors(path)
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    torch.load(path, weights_only=False)  # the attack is a live one
    assert mark.exists()


def test_other_files_and_objects(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "not weights")
    contents: dict[str, bytes] = {
        "text.pth": b"hello",
        "zip.pth": archive.getvalue(),
        "text.safetensors": b"{}" * 20,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert str(tmp_path / name) in error_of(config(tmp_path / name))
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    assert "expected a dictionary of tensors, got list" in error_of(config(tmp_path / "list.pth"))
    torch.save({"state_dict": {"conv1.weight": 3}}, tmp_path / "numbers.pth")
    assert "expected a dictionary of tensors" in error_of(config(tmp_path / "numbers.pth"))
    for missing in (tmp_path / "no.pth", tmp_path):
        assert f"{missing}: no such weights file" in error_of(config(missing))


def test_a_home_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    state = torchvision_state("resnet18", width=8)
    save(state, tmp_path / "weights.pth")
    assert_holds(build_network(config("~/weights.pth"), 5), state)


@pytest.mark.parametrize("error", [OSError("no route to host"), ConnectionError("two\nlines"), RuntimeError("x")])
def test_imagenet_offline_names_both_ways(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def offline(*_args: object, **_keywords: object) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    message = error_of(ModelConfig(backbone="resnet18"))
    assert message.startswith("model.weights=imagenet: cannot download timm/resnet18.tv_in1k")
    assert "connect once" in message
    assert "model.weights=PATH" in message


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50"])
def test_imagenet_from_the_hub_or_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: Any) -> None:
    state = torchvision_state(backbone, width=8, classes=4)
    path, asked = save(state, tmp_path / "model.safetensors"), []

    def from_hub(repository: str, name: str) -> str:
        asked.append((repository, name))
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", from_hub)
    assert_holds(build_network(config("imagenet", backbone), 5), state)
    assert download(f"timm/{backbone}.tv_in1k", "imagenet") == path
    assert set(asked) == {(f"timm/{backbone}.tv_in1k", "model.safetensors")}


@pytest.mark.parametrize("backbone", ["resnet18_ibn_a", "resnet34_ibn_a", "resnet50_ibn_a"])
def test_ibn_weights_come_from_their_publisher_and_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: Any
) -> None:
    state, asked = torchvision_state(backbone.split("_")[0], width=8, classes=4, ibn=True), []

    def fetch(address: str, target: str, digits: str) -> None:
        asked.append((address.rsplit("/", 1)[-1], digits))
        save(state, Path(target))

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", fetch)
    for _ in range(2):
        assert_holds(build_network(config("imagenet", backbone), 5), state)
    (name, digits), *again = asked
    assert re.fullmatch(rf"{backbone}-{digits}\.pth", name)
    assert re.fullmatch("[0-9a-f]{8}", digits)
    assert not again  # once


def test_a_ResNet_without_ibn_is_no_fit_and_the_other_way_round(tmp_path: Path) -> None:
    plain = save(torchvision_state("resnet18", width=8), tmp_path / "plain.pth")
    ibn = save(torchvision_state("resnet18", width=8, ibn=True), tmp_path / "ibn.pth")
    assert "layer1.0.bn1.IN.weight is missing" in error_of(config(plain, "resnet18_ibn_a"))
    assert "layer1.0.bn1.weight is missing" in error_of(config(ibn))


def test_an_unknown_published_name_lists_the_known() -> None:
    message = error_of(config("dino", "resnet50"))
    assert message.startswith("model.weights=dino: resnet50 has no published weights of that name; expected one of ")
    assert "none, imagenet, or a .pth or .safetensors file" in message
