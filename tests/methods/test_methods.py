from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.methods.test_conformance import LABELS, MODALITIES, images, network
from tests.reference import methods as reference
from vireid.config import LossConfig, ModelConfig
from vireid.losses.objective import Objective
from vireid.methods.bridge import Bridge
from vireid.methods.middle import Middle
from vireid.methods.non_local import NonLocal, NonLocalBlock
from vireid.methods.stripes import StripedBranch
from vireid.methods.zero_padding import ZeroPadding
from vireid.models.network import embedding
from vireid.types import Modality, VireidError

SMALL = ModelConfig(backbone="resnet18", base_width=8, weights="none")


@pytest.mark.parametrize(("channels", "inner", "height", "width"), [(6, 3, 4, 3), (5, 1, 3, 5), (4, 7, 1, 1)])
def test_the_non_local_block_equals_the_sum_over_positions(channels: int, inner: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    block = NonLocalBlock(channels, inner).double().eval()
    torch.nn.init.uniform_(block.norm.weight, 0.5, 2)
    x = torch.randn(2, channels, height, width, dtype=torch.float64)
    result = block(x)
    for image in range(2):
        parts = [
            part(x[image : image + 1])[0].flatten(1).detach().numpy() for part in (block.theta, block.phi, block.g)
        ]
        y = torch.from_numpy(reference.non_local(*parts)).view(1, inner, height, width)
        torch.testing.assert_close(result[image], x[image] + block.norm(block.out(y))[0])


def test_non_local_blocks_start_as_the_identity_and_sit_where_agw_has_them() -> None:
    method = NonLocal(ModelConfig(weights="none", base_width=8))
    assert list(method.blocks) == ["layer2-2", "layer2-3", "layer3-3", "layer3-4", "layer3-5"]
    x = torch.randn(2, 64, 4, 3)
    assert torch.equal(method.block(x, "layer2", 3), x)
    assert method.block(x, "layer2", 1) is x
    # ResNet-18 has two blocks in a stage: three of them are all of them.
    assert list(NonLocal(SMALL).blocks) == ["layer2-0", "layer2-1", "layer3-0", "layer3-1"]
    assert NonLocal(SMALL, inner=3).blocks["layer3-1"].theta.out_channels == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "height"), [(6, 18), (6, 9), (4, 3), (1, 5)])
@pytest.mark.parametrize("dimension", [0, 5])
def test_stripes_equal_slices(count: int, height: int, dimension: int) -> None:
    torch.manual_seed(0)
    branch = StripedBranch(SMALL, 3, count, dimension, neck=True).eval()
    feature_map, pooled, normed = branch(torch.rand(2, 32, height, 4))
    assert (len(pooled), len(normed), len(branch.classify(normed))) == (count, count, count)
    for number, feature in enumerate(pooled):
        slices = [reference.stripe(x.detach().double().numpy(), number, count, 3) for x in feature_map]
        expected = torch.from_numpy(np.stack(slices)).float()
        if dimension:
            expected = branch.reduce[number](expected[:, :, None, None]).flatten(1)
        torch.testing.assert_close(feature, expected, rtol=1e-4, atol=1e-5)


def test_one_neck_over_all_stripes_is_one_for_each() -> None:
    branch = StripedBranch(SMALL, 3, 3, 0, neck=True).train()
    _, pooled, normed = branch(torch.rand(4, 32, 6, 4))
    for before, after in zip(pooled, normed, strict=True):
        torch.testing.assert_close(after, torch.nn.BatchNorm1d(64)(before))


@torch.no_grad()
def test_the_first_middle_image_is_a_grey_one() -> None:
    method = Middle(SMALL).eval()
    x = torch.rand(2, 3, 4, 5)
    made = method.images(x, Modality.VISIBLE)
    assert torch.equal(made[:2], x)
    # encoder 0.333 of the sum, 0.333 of that, BatchNorm of a fresh network, decoder 0.333 of that in every channel
    expected = (0.333**3 * x.sum(1, keepdim=True) / (1 + 1e-5) ** 0.5).expand_as(x)
    torch.testing.assert_close(made[2:], expected)


@torch.no_grad()
def test_in_evaluation_the_middle_image_joins_its_image() -> None:
    made, (visible, _) = network({"middle": {}}, shared_from="layer1").eval(), images()
    middle = made.methods["middle"]
    generated = middle.decoder(middle.encoders[Modality.VISIBLE](visible))
    plain = network({}, shared_from="layer1")
    plain.load_state_dict({k: v for k, v in made.state_dict().items() if not k.startswith("methods.")})
    both = [embedding(plain.eval()(x, None).normed) for x in (visible, generated)]
    torch.testing.assert_close(embedding(made(visible, None).normed), torch.nn.functional.normalize(sum(both)))  # type: ignore[arg-type]
    assert torch.equal(made(visible, None).maps[0], plain(visible, None).maps[0])


def test_zero_padding_gives_each_modality_its_channel() -> None:
    x = torch.randn(2, 3, 4, 5)
    visible, infrared = (ZeroPadding(SMALL).images(x, m) for m in Modality)
    assert torch.equal(visible[:, 0], x.mean(1))
    assert torch.equal(infrared[:, 1], x.mean(1))
    assert visible[:, 1:].abs().sum() == infrared[:, [0, 2]].abs().sum() == 0


@torch.no_grad()
def test_the_bridge_equals_its_formula() -> None:
    torch.manual_seed(0)
    method = Bridge(SMALL)
    torch.nn.init.uniform_(method.gamma, 0.5, 2)
    torch.nn.init.normal_(method.beta)
    x = torch.randn(3, 8, 5, 4) * 3 + 1
    result = method.intermediate(x)
    deviation = (x.var((2, 3), correction=0) + 1e-5).sqrt()
    gates = method.gate(torch.cat([x.mean((2, 3)), deviation], 1))
    for image, gate, made in zip(x, gates, result, strict=True):
        parts = [value.double().numpy() for value in (image, method.gamma, method.beta, gate)]
        np.testing.assert_allclose(made.numpy(), reference.intermediate(*parts), atol=1e-5)


def test_the_bridge_is_for_training_alone() -> None:
    made, (visible, infrared) = network({"bridge": {}}), images()
    assert len(made.train()(visible, infrared).pooled[0]) == 16
    plain = network({})
    plain.load_state_dict({k: v for k, v in made.state_dict().items() if not k.startswith("methods.")})
    with torch.no_grad():
        for a, b in zip(made.eval()(visible, infrared), plain.eval()(visible, infrared), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("cls", "kinds"), [(Middle, ((2,), (3,))), (Bridge, ((0,), (1,), (2, 3)))])
def test_penalties_equal_loops(cls: Any, kinds: tuple[tuple[int, ...], ...]) -> None:
    torch.manual_seed(0)
    labels, which = LABELS.repeat(2), torch.cat([MODALITIES, MODALITIES + 2])
    order = torch.randperm(16)
    embeddings = torch.randn(16, 5, requires_grad=True)
    value = cls(SMALL).penalty(embeddings[order], labels[order], which[order])
    total = []
    for label in (0, 1):
        rows = embeddings.detach().double().numpy()
        centres = [reference.centre(rows, labels.tolist(), which.tolist(), label, kind) for kind in kinds]
        if cls is Middle:
            total.append(np.linalg.norm(centres[0] - centres[1]))
        else:
            between = (
                reference.centre(rows, labels.tolist(), which.tolist(), label, (2,))
                + reference.centre(rows, labels.tolist(), which.tolist(), label, (3,))
            ) / 2
            total += [np.linalg.norm(c - between) for c in centres[:2]]
    assert value.item() == pytest.approx(np.mean(total), rel=1e-5)
    value.backward()
    assert embeddings.grad is not None
    moved = embeddings.grad.abs().sum(1) > 0
    assert bool(moved.all()) if cls is Bridge else moved.tolist() == [False] * 8 + [True] * 8


def test_copies_count_as_images_of_their_modality() -> None:
    made = network({"bridge": {"weight": 0.25}}, branches=2)
    output = made.train()(*images())
    parts = Objective(LossConfig(), (96, 32), made.penalties())(output, LABELS, MODALITIES)
    without = Objective(LossConfig(), (96, 32))(output, LABELS.repeat(2), MODALITIES.repeat(2))
    assert set(parts) == {*without, "bridge"}
    assert all(torch.equal(parts[name], without[name]) for name in without if name != "total")
    assert parts["total"].item() == pytest.approx(without["total"].item() + 0.25 * parts["bridge"].item(), rel=1e-6)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"nonlocal": {}}, r"model\.methods\.nonlocal: unknown; expected one of adapter, .*; did you mean non_local\?"),
        ({"os": {}}, r"model\.methods\.os: unknown"),
        ({"../../x": {}}, r"model\.methods\.\.\./\.\./x: unknown"),
        ({"stripes": {"count": 0}}, r"model\.methods\.stripes\.count=0: input should be greater than or equal to 1"),
        ({"stripes": {"count": True}}, r"stripes\.count=true: input should be a valid integer"),
        ({"stripes": {"count": [2] * 99}}, r"stripes\.count=\[2, 2.{40,60}: input should be a valid integer"),
        ({"bridge": {"weight": "x"}}, r'bridge\.weight="x": input should be a valid number'),
        ({"zero_padding": {"a": 1}}, r"zero_padding\.a: unknown option; expected one of none"),
    ],
)
def test_a_bad_choice_is_one_line(methods: dict[str, Any], message: str) -> None:
    with pytest.raises(VireidError, match=rf"^(model\.methods\.)?{message}") as caught:
        network(methods)
    assert "\n" not in str(caught.value)
