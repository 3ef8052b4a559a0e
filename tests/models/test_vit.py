from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.reference.resnet import torchvision_state
from tests.reference.vit import plain_vit, resized, timm_state
from vireid.build import build_methods
from vireid.config import ModelConfig
from vireid.data.augment import MEAN, STD
from vireid.losses.overlap import OverlapPenalty
from vireid.models.backbone import build_backbone, map_of
from vireid.models.cost import count_macs, count_parameters
from vireid.models.network import TwoStreamNetwork, build_network, embedding
from vireid.models.vit import PIXELS, Block, resize_positions
from vireid.models.weakening import DynamicFeatureWeakening
from vireid.types import Modality, VireidError

SIZE, GRID = (56, 40), (4, 3)
"""Of an image, and of its patches at stride 12; what is left at the bottom is cut."""
SMALL: dict[str, Any] = {"width": 24, "depth": 5, "heads": 3, "stride": 12}


def config(weights: Path | str = "none", backbone: str = "vit_tiny", **fields: Any) -> ModelConfig:
    options = SMALL | fields.pop("options", {})
    return ModelConfig(**{"backbone": backbone, "weights": str(weights), "options": options, **fields})


def network(seed: int = 0, size: tuple[int, int] = SIZE, **fields: Any) -> Any:
    torch.manual_seed(seed)
    made = config(**fields)
    return build_network(made, 5, build_methods(made), size=size)


def lively(seed: int = 0, **fields: Any) -> Any:
    """A network whose blocks do more than at their start."""
    made = network(seed, **fields)
    with torch.no_grad():
        for value in made.parameters():
            if value.ndim == 2:
                value.mul_(5)
    return made


def images(seed: int, count: int = 2, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def save(state: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


def error_of(build: Callable[[], object]) -> str:
    with pytest.raises(VireidError) as caught:
        build()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def grid_of(tokens: Tensor) -> Tensor:
    return tokens[:, 1:].mT.unflatten(2, GRID)


@torch.no_grad()
@pytest.mark.parametrize("shared_from", ["input", "layer1", "layer2"])
@pytest.mark.parametrize(
    ("backbone", "name", "head"),
    [
        ("vit_tiny", "imagenet.safetensors", 1000),
        ("vit_small", "dino.pth", 0),
        ("vit_base_clip", "clip.safetensors", 512),
    ],
)
def test_it_starts_as_the_published_network(
    tmp_path: Path, backbone: str, name: str, head: int, shared_from: str
) -> None:
    clip = backbone.endswith("clip")
    state = timm_state(24, 5, GRID, clip=clip, head=head)
    fields = {"weights": save(state, tmp_path / name), "backbone": backbone, "shared_from": shared_from}
    made = network(**fields, weakening={"after": ()}, options={"pixels": "imagenet"}).eval()
    seen: dict[str, Tensor] = {}
    for part in ("layer1", "layer2", "layer3"):
        if part in made.stages():
            made.stages()[part].register_forward_hook(lambda _m, _i, y, key=part: seen.update({key: map_of(y)}))
    visible, infrared = images(1), images(2, 3)
    output, rows = made(visible, infrared), torch.cat([visible, infrared])
    expected = plain_vit(state, rows, 3, 12, clip=clip)
    # 5 blocks, of which the last is layer4: 2, 1, 1 before it
    blocks = {"layer1": "blocks.1", "layer2": "blocks.2", "layer3": "blocks.3"}
    for part, value in seen.items():
        torch.testing.assert_close(value.double(), grid_of(expected[blocks[part]]), rtol=1e-5, atol=1e-5)
    for feature_map, pooled in zip(output.maps, output.pooled, strict=True):
        torch.testing.assert_close(feature_map.double(), grid_of(expected["norm"]), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(pooled.double(), expected["norm"][:, 1:].mean(1), rtol=1e-5, atol=1e-5)
    token = network(**fields, weakening={"after": ()}, options={"pixels": "imagenet", "pool": "token"}).eval()
    torch.testing.assert_close(
        token(visible, infrared).pooled[1].double(), expected["norm"][:, 0], rtol=1e-5, atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize("pixels", ["imagenet", "half", "clip"])
def test_weights_see_the_colours_they_were_trained_on(tmp_path: Path, pixels: str) -> None:
    clip = pixels == "clip"
    state = timm_state(24, 5, GRID, clip=clip)
    path = save(state, tmp_path / "weights.safetensors")
    fields: dict[str, Any] = {} if pixels != "half" else {"options": {"pixels": "half"}}
    made = network(weights=path, backbone="vit_base_clip" if clip else "vit_small", weakening={"after": ()}, **fields)
    colours = torch.rand(2, 3, *SIZE)

    def normalised(name: str) -> Tensor:
        mean, deviation = (torch.tensor(x)[:, None, None] for x in PIXELS[name])
        return (colours - mean) / deviation

    expected = plain_vit(state, normalised(pixels), 3, 12, clip=clip)["norm"]
    found = made.eval()(None, normalised("imagenet")).maps[0]
    torch.testing.assert_close(found.double(), grid_of(expected), rtol=1e-4, atol=1e-5)


def test_the_colours_of_this_project_and_of_published_weights() -> None:
    assert PIXELS["imagenet"] == (MEAN, STD)
    of = {
        (backbone, weights): build_backbone(ModelConfig(backbone=backbone, weights=weights)).pixels  # type: ignore[attr-defined]
        for backbone in ("vit_tiny", "vit_small", "vit_base", "vit_base_clip")
        for weights in build_backbone(ModelConfig(backbone=backbone)).weights
    }
    assert of == {
        ("vit_tiny", "imagenet"): "half",
        ("vit_small", "imagenet"): "half",
        ("vit_small", "dino"): "imagenet",
        ("vit_base", "imagenet"): "half",
        ("vit_base", "dino"): "imagenet",
        ("vit_base_clip", "clip"): "clip",
    }


@pytest.mark.parametrize(("old", "new"), [((7, 7), (4, 3)), ((3, 3), (9, 5)), ((8, 4), (9, 7)), ((4, 4), (2, 8))])
def test_positions_are_resized_as_a_picture(old: tuple[int, int], new: tuple[int, int]) -> None:
    embedding = torch.randn(1, 1 + old[0] * old[1], 5, generator=torch.Generator().manual_seed(0))
    made = resize_positions(embedding, new)
    assert torch.equal(made[:, 0], embedding[:, 0])
    for channel in range(5):
        grid = embedding[0, 1:, channel].double().numpy().reshape(old)
        np.testing.assert_allclose(made[0, 1:, channel].numpy(), resized(grid, *new).ravel(), atol=1e-5)
    assert resize_positions(made, new) is made or new[0] not in (new[1], 2 * new[1])


@pytest.mark.parametrize("shape", [(1, 51), (1, 1, 4), (2, 5, 4), (1, 1 + 10, 4), (1, 2 + 196, 4)])
def test_positions_of_an_unknown_grid_are_refused(shape: tuple[int, ...]) -> None:
    assert "pos_embed has shape" in error_of(lambda: resize_positions(torch.zeros(shape), (4, 3)))


def test_weights_of_another_grid_are_taken(tmp_path: Path) -> None:
    state = timm_state(24, 5, (14, 14))
    made = network(weights=save(state, tmp_path / "weights.pth"))
    torch.testing.assert_close(made.visible.pos_embed, resize_positions(state["pos_embed"], GRID))


@pytest.mark.parametrize(
    ("backbone", "state", "options", "reason"),
    [
        ("vit_tiny", timm_state(24, 4, GRID), {}, "blocks.4.norm1.weight is missing"),
        ("vit_tiny", timm_state(24, 6, GRID), {}, "blocks.5.attn.proj.bias has no place"),
        ("vit_tiny", timm_state(48, 5, GRID), {}, "cls_token has shape (1, 1, 48), expected (1, 1, 24)"),
        ("vit_tiny", timm_state(24, 5, GRID, clip=True), {}, "patch_embed.proj.bias is missing"),
        ("vit_base_clip", timm_state(24, 5, GRID), {}, "norm_pre.weight is missing"),
        ("vit_tiny", timm_state(24, 5, (2, 5)), {}, "pos_embed has shape (1, 11, 24)"),
        ("vit_tiny", torchvision_state("resnet18", 8, 4), {}, "cls_token is missing"),
        ("resnet18", timm_state(24, 5, GRID), {}, "conv1.weight is missing"),
        ("vit_tiny", timm_state(24, 5, GRID) | {"blocks.0.ls1.gamma": torch.ones(24)}, {}, "blocks.0.ls1.gamma has no"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, backbone: str, state: dict[str, Tensor], options: dict[str, Any], reason: str
) -> None:
    path = save(state, tmp_path / "weights.pth")
    made = ModelConfig(backbone=backbone, weights=str(path), options=SMALL if backbone.startswith("vit") else {})
    message = error_of(lambda: build_network(made, 3, size=SIZE))
    assert message.startswith(f"{path}: {reason}")
    assert f"these are not weights of {backbone}" in message


def test_names_of_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = save(timm_state(24, 5, (14, 14), head=1000), tmp_path / "model.safetensors"), []

    def from_hub(repository: str, name: str) -> str:
        asked.append(f"{repository}/{name}")
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", from_hub)
    for weights in ("imagenet", "dino"):
        network(backbone="vit_small", weights=weights)
    assert asked == [
        "timm/vit_small_patch16_224.augreg_in21k_ft_in1k/model.safetensors",
        "timm/vit_small_patch16_224.dino/model.safetensors",
    ]
    assert "expected one of none, imagenet, dino, or a" in error_of(
        lambda: network(backbone="vit_base", weights="clip")
    )
    assert "expected one of none, clip, or a" in error_of(lambda: network(backbone="vit_base_clip", weights="imagenet"))


@pytest.mark.parametrize(
    ("backbone", "weights", "beside"),
    [
        ("vit_small", "imagenet", " and model.options.pixels=half"),
        ("vit_small", "dino", ""),
        ("vit_base_clip", "clip", ""),
    ],
)
def test_offline_it_says_what_a_file_of_the_same_weights_needs(
    monkeypatch: pytest.MonkeyPatch, backbone: str, weights: str, beside: str
) -> None:
    def offline(*_: object) -> str:
        raise OSError

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    message = error_of(lambda: network(backbone=backbone, weights=weights))
    assert message.endswith(f"pass model.weights=PATH (.safetensors or .pth){beside}")


@torch.no_grad()
@pytest.mark.parametrize("after", [("layer2",), ("layer2", "layer3")])
def test_weakening_works_on_the_grid_alone(after: tuple[str, ...]) -> None:
    made = lively(weakening={"after": after, "gate": "none"}).eval()
    before: list[Tensor] = []
    weakened: list[Tensor] = []
    made.weakening["layer2"].register_forward_pre_hook(lambda _m, i: before.append(i[0]))
    made.weakening["layer2"].register_forward_hook(lambda _m, _i, y: weakened.append(y))
    entering: list[Any] = []
    made.layer3.register_forward_pre_hook(lambda _m, i: entering.append(i[0]))
    leaving: list[Any] = []
    made.layer2.register_forward_hook(lambda _m, _i, y: leaving.append(y))
    made(images(3), None)
    assert before[0].shape == (2, 24, *GRID)
    torch.testing.assert_close(weakened[0], DynamicFeatureWeakening(gate="none")(before[0]))
    torch.testing.assert_close(map_of(entering[0]), weakened[0])
    assert torch.equal(entering[0].values[:, 0], leaving[0].values[:, 0])  # the class token
    assert not torch.allclose(map_of(entering[0]), map_of(leaving[0]))


def test_branches_are_copies_of_the_last_blocks_and_their_norm() -> None:
    made = lively(branches=3, options={"tail": 2}).train()
    assert [len(stage) for stage in made.stages().values()] == [1, 1]  # layer2 and layer3; layer1 is each stream's
    assert [list(dict(branch.layer4.named_children())) for branch in made.branches] == [["0", "1", "norm"]] * 3
    output = made(images(4, 4), images(5, 4))
    assert [len(part) for part in output[:4]] == [3, 3, 3, 3]
    assert all(x.shape == (8, 24, *GRID) for x in output.maps)
    assert not torch.allclose(output.maps[0], output.maps[1])
    penalty = OverlapPenalty(SIZE, separation=100, temperature=1.0)
    rows = torch.zeros(8, dtype=torch.long)
    penalty(torch.stack(output.maps, 1), rows, rows).backward()
    gradients = [branch.layer4.state_dict(keep_vars=True)["1.mlp.fc2.weight"].grad for branch in made.branches]
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("shared_from", ["input", "layer1", "layer2"])
@pytest.mark.parametrize("options", [{}, {"pool": "token", "drop_path": 0.2, "tail": 2}])
def test_gradient_reaches_every_parameter(shared_from: str, options: dict[str, Any]) -> None:
    made = lively(shared_from=shared_from, options=options).train()
    torch.cat(made(images(6, 8), images(7, 8)).logits).square().sum().backward()
    for name, parameter in made.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@torch.no_grad()
@pytest.mark.parametrize("shared_from", ["input", "layer1", "layer2"])
def test_each_modality_has_its_embedding_and_what_is_not_shared(shared_from: str) -> None:
    made, same = lively(shared_from=shared_from).eval(), images(8)
    own = {name.split(".", 1)[1] for name in made.state_dict() if name.startswith("infrared.")}
    assert ("patch_embed.proj.weight" in own) == (shared_from != "input")
    assert ("layer1.0.attn.qkv.weight" in own) == (shared_from == "layer2")
    assert not made.modality.any()
    if shared_from == "input":
        alike = embedding(made(same, same).normed)
        torch.testing.assert_close(alike[:2], alike[2:])
    before = embedding(made(same, same).normed)
    made.modality[Modality.INFRARED] += 1 + torch.arange(24)
    after = embedding(made(same, same).normed)
    assert torch.equal(after[:2], before[:2])
    assert ((after[2:] - before[2:]).norm(dim=1) > 1e-3).all()


@torch.no_grad()
def test_rows_are_visible_then_infrared() -> None:
    made, (visible, infrared) = lively().eval(), (images(9, 3), images(10))
    both, first, second = made(visible, infrared), made(visible, None), made(None, infrared)
    for kind in ("maps", "pooled", "normed"):
        for joint, a, b in zip(getattr(both, kind), getattr(first, kind), getattr(second, kind), strict=True):
            torch.testing.assert_close(joint, torch.cat([a, b]), rtol=1e-4, atol=1e-5)


def test_an_image_of_another_size_is_refused() -> None:
    message = error_of(lambda: network()(images(11, size=(52, 40)), None))
    assert message == "images: expected 56x40 pixels, for which the network was built, got 52x40"


def test_blocks_are_left_out_of_images_in_training_alone() -> None:
    torch.manual_seed(0)
    block = Block(8, 2, 1e-6, False, 0.5)
    update = torch.ones(4000, 3, 8)
    dropped = block.train()._dropped(update)
    assert {round(value, 6) for value in dropped.unique().tolist()} == {0, 2}
    assert (dropped == dropped[:, :1, :1]).all()  # an image is left out as a whole
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert block.eval()._dropped(update) is update
    rates = [b.drop_path for b in network(options={"drop_path": 0.4}).modules() if isinstance(b, Block)]
    # layer1 of each stream, layer2, layer3, two branches
    assert rates == pytest.approx([0, 0.1, 0, 0.1, 0.2, 0.3, 0.4, 0.4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "model.options.stride=0: input should be greater than or equal to 1"),
        ({"stride": 17}, "model.options.stride=17: input should be less than or equal to 16"),
        ({"stride": "twelve"}, 'model.options.stride="twelve": input should be a valid integer'),
        ({"stride": True}, "model.options.stride=true: input should be a valid integer"),
        ({"heads": 5}, "model.options.heads=5: expected a divisor of the width, 24"),
        ({"tail": 3}, "model.options.depth=5: expected at least 3 blocks above tail, 3"),
        ({"pool": "max"}, "model.options.pool=\"max\": input should be 'mean' or 'token'"),
        ({"drop_path": 1}, "model.options.drop_path=1: input should be less than 1"),
        ({"strides": 12}, "model.options.strides: unknown option; expected one of stride, depth, "),
    ],
)
def test_a_bad_option_is_one_line(options: dict[str, Any], message: str) -> None:
    assert error_of(lambda: network(options=options)).startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"last_stride": 2}, "model.last_stride=2: vit_tiny has no such setting; leave it at 1"),
        ({"base_width": 32}, "model.base_width=32: vit_tiny has no such setting; leave it at 64"),
        ({"gem_power": 1}, "model.gem_power=1.0: vit_tiny has no such setting; leave it at 3.0"),
        ({"methods": {"non_local": {}}}, "model.methods.non_local: every block of vit_tiny attends to the whole image"),
    ],
)
def test_what_makes_no_sense_for_it_is_refused(fields: dict[str, Any], message: str) -> None:
    assert error_of(lambda: network(**fields)).startswith(message)


def by_formula(width: int, depth: int, tail: int, positions: int, branches: int) -> tuple[int, int]:
    """Parameters, and multiply-accumulates of a pair, of a network whose patches alone are each modality's."""
    tokens, patch = positions + 1, 3 * 16 * 16
    layers = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
    block = sum(i * o + o for i, o in layers) + 2 * 2 * width  # two norms
    stem = patch * width + width + width + tokens * width  # the class token, an embedding of every token
    neck = 2 * width
    parameters = 2 * stem + 2 * width + (depth - tail) * block + branches * (tail * block + 2 * width + neck)
    products = 2 * tokens * tokens * width  # queries by keys, their softmax by values
    one_block = tokens * sum(i * o for i, o in layers) + products
    macs = positions * patch * width + (depth - tail + branches * tail) * one_block
    return parameters, 2 * macs


@pytest.mark.parametrize(("tail", "branches"), [(1, 2), (2, 3), (1, 1)])
def test_its_cost_by_hand(tail: int, branches: int) -> None:
    made = network(shared_from="layer1", branches=branches, options={"tail": tail})
    parameters, macs = by_formula(24, 5, tail, GRID[0] * GRID[1], branches)
    assert count_parameters(made) == parameters
    # by the convention of Table 2 one more for the bias of every output element of the patches' convolution
    assert count_macs(made, *SIZE) == (macs, macs + 2 * GRID[0] * GRID[1] * 24)


def test_vit_s_has_the_published_size() -> None:
    """ViT-S/16 at 224 x 224: 22.05 M parameters, 0.385 M of them the classifier of ImageNet, and 4.6 G operations."""
    fields: dict[str, Any] = {"branches": 1, "shared_from": "input", "weakening": {"after": ()}}
    with torch.device("meta"):
        made = TwoStreamNetwork(ModelConfig(backbone="vit_small", **fields), 1, size=(224, 224))
        ours = 2 * 384 + 2 * 384  # embeddings of the modalities, neck
        assert round((count_parameters(made) - ours + 385_000) / 1e6, 2) == 22.05
        assert round(count_macs(made, 224, 224)[0] / 2e9, 1) == 4.6
