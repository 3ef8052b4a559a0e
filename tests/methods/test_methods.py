from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.methods.test_conformance import LABELS, MODALITIES, images, network, objective
from tests.reference import methods as reference
from vireid.config import ModelConfig
from vireid.losses.copies import BridgeLoss
from vireid.methods.adapter import Adapter, ModalityAdapter
from vireid.methods.bridge import Bridge
from vireid.methods.expansion import ChannelAggregation, Expander, Expansion, PositionAggregation
from vireid.methods.middle import Middle
from vireid.methods.non_local import NonLocal, NonLocalBlock
from vireid.methods.stripes import StripedBranch
from vireid.methods.zero_padding import ZeroPadding
from vireid.models.network import Output, embedding
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


def test_stripes_without_a_neck_are_classified_as_they_are() -> None:
    made = network({"stripes": {"count": 3, "dimension": 5, "neck": False}}).train()
    branch = made.branches[0]
    output = made(*images())
    assert all(torch.equal(a, b) for a, b in zip(output.pooled, output.normed, strict=True))
    for feature, classifier, logits in zip(output.pooled, branch.classifier, output.logits, strict=False):
        torch.testing.assert_close(logits, feature @ classifier.weight.T + classifier.bias)
    # He et al.'s normal over the inputs, as HCT starts the reductions, not the trunk's over the outputs
    wide = StripedBranch(ModelConfig(weights="none"), 3, 1, 256, neck=False)
    wide.initialise()
    assert wide.reduce[0][0].weight.std().item() == pytest.approx((2 / 2048) ** 0.5, rel=0.01)  # type: ignore[index]


def test_generated_images_share_their_originals_batch_statistics() -> None:
    """Official code concatenates them: apart, the stem's BatchNorm trains on one distribution and tests on a blend."""
    made, (visible, infrared) = network({"middle": {}}, shared_from="layer1").train(), images()
    stem, seen = made.visible, []
    hook = stem.conv1.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
    stem.bn1.momentum = 1.0
    made(visible, infrared)
    hook.remove()
    assert [len(x) for x in seen] == [8]
    torch.testing.assert_close(stem.bn1.running_mean, seen[0].mean((0, 2, 3)))
    torch.testing.assert_close(stem.bn1.running_var, seen[0].var((0, 2, 3)))
    assert not torch.allclose(stem.bn1.running_mean, seen[0][:4].mean((0, 2, 3)), rtol=0.05)


@pytest.mark.parametrize("stride", [1, 2])
def test_aggregations_equal_their_sums(stride: int) -> None:
    torch.manual_seed(0)
    high, low = torch.randn(2, 6, 4, 3).double(), torch.randn(2, 4, 4 * stride, 3 * stride).double()
    channels, positions = ChannelAggregation(6, 4, stride).double().eval(), PositionAggregation(6, 4).double().eval()
    for block, naive in ((channels, reference.channel_aggregation), (positions, reference.position_aggregation)):
        assert torch.equal(block(high, low), high)  # BatchNorm starts at 0
        torch.nn.init.uniform_(block.norm.weight, 0.5, 2)
        result = block(high, low)
        for image in range(2):
            own, source = high[image : image + 1], low[image : image + 1]
            parts = [
                part[0].flatten(1).detach().numpy() for part in (block.theta(own), block.phi(source), block.g(source))
            ]
            shape = (1, 4, 4 * stride, 3 * stride) if block is channels else (1, 2, 4, 3)
            y = torch.from_numpy(naive(*parts)).reshape(shape)
            torch.testing.assert_close(result[image], high[image] + block.norm(block.out(y))[0])


def test_a_map_without_halves_is_named() -> None:
    with pytest.raises(
        VireidError, match=r"^model\.methods\.expansion: a map of 3 x 3 has no halves; change data\.height"
    ):
        PositionAggregation(6, 4)(torch.zeros(1, 6, 3, 3), torch.zeros(1, 4, 6, 6))


@torch.no_grad()
def test_an_expander_is_the_mean_of_three_dilations() -> None:
    torch.manual_seed(0)
    part, x = Expander(8), torch.randn(2, 8, 7, 5)
    assert [view.dilation for view in part.views] == [(1, 1), (2, 2), (3, 3)]
    views = [torch.nn.functional.conv2d(x, v.weight, padding=d, dilation=d) for d, v in enumerate(part.views, 1)]
    torch.testing.assert_close(part(x), part.back((sum(views) / 3).relu()))  # type: ignore[arg-type]


@torch.no_grad()
def test_expansion_shows_three_forms_and_sums_their_six_similarities() -> None:
    made, (visible, infrared) = network({"expansion": {}}, shared_from="layer1", branches=1), images()
    assert list(made.methods["expansion"].channels) == ["layer1", "layer2", "layer3"]
    assert list(Expansion(SMALL).channels) == ["layer2", "layer3"]  # SMALL shares from layer2
    assert len(made.train()(visible, infrared).pooled[0]) == 3 * 8
    seen: list[Any] = []
    hook = made.branches[0].register_forward_hook(lambda _, __, out: seen.append(out[1:]))
    features = [embedding(made.eval()(*sides).normed) for sides in ((visible, None), (None, infrared))]
    hook.remove()
    total = torch.zeros(4, 4)
    for kind in (0, 1):
        forms = [[torch.nn.functional.normalize(x) for x in side[kind][0].chunk(3)] for side in seen]
        total += sum(a @ b.T for a, b in zip(*forms, strict=True))  # type: ignore[arg-type]
    torch.testing.assert_close(features[0] @ features[1].T, total / 6)


@pytest.mark.parametrize("masks", [1, 3])
def test_the_adapter_equals_its_sums(masks: int) -> None:
    torch.manual_seed(0)
    block = ModalityAdapter(5, masks).double().eval()
    x = torch.randn(2, 5, 4, 3).double()
    assert torch.equal(block(x), x)
    torch.nn.init.uniform_(block.norm.weight, 0.5, 2)
    result = block(x)
    for image in range(2):
        one = x[image : image + 1]
        parts = [one[0].flatten(1), block.masks(one)[0].flatten(1), block.gather.weight[:, 0]]
        gathered = torch.from_numpy(reference.adapted(*(v.detach().numpy() for v in parts)))
        weights = torch.sigmoid(block.gather_norm(gathered[None, :, None]))[..., None]
        torch.testing.assert_close(result[image : image + 1], one + block.norm(one * weights))


def test_adapters_sit_where_mcja_has_them() -> None:
    blocks = Adapter(ModelConfig(weights="none", base_width=8), masks=12).blocks
    assert list(blocks) == ["layer2-2", "layer2-3", "layer3-3", "layer3-4", "layer3-5"]
    assert {block.masks.out_channels for block in blocks.values()} == {12}  # type: ignore[union-attr]


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
        for a, b in zip(made.eval()(visible, infrared)[:4], plain.eval()(visible, infrared)[:4], strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_bridges_loss_equals_the_loop() -> None:
    torch.manual_seed(0)
    labels, which = LABELS.repeat(2), torch.cat([MODALITIES, MODALITIES + 2])
    order = torch.cat([torch.randperm(8), torch.randperm(8) + 8])  # images before copies, else in any order
    embeddings = torch.randn(16, 5, requires_grad=True)
    pooled = embeddings[order].split([2, 3], dim=1)
    value = BridgeLoss()(Output((), pooled, (), (), forms=2), labels[order], which[order] % 2)
    total = []
    for label in (0, 1):
        rows = embeddings.detach().double().numpy()
        own = [reference.centre(rows, labels.tolist(), which.tolist(), label, (kind,)) for kind in range(4)]
        total += [np.linalg.norm(c - (own[2] + own[3]) / 2) for c in own[:2]]
    assert value is not None
    assert value.item() == pytest.approx(np.mean(total), rel=1e-5)
    value.backward()
    assert embeddings.grad is not None
    assert bool((embeddings.grad.abs().sum(1) > 0).all())


@pytest.mark.parametrize(("method", "name"), [("bridge", "bridge"), ("middle", "consistency")])
def test_copies_count_as_images_of_their_modality(method: str, name: str) -> None:
    made = network({method: {}}, branches=2)
    output = made.train()(*images())
    parts = objective(made, {name: {"weight": 0.25}})(output, LABELS, MODALITIES)
    without = objective(network({}))(output, LABELS.repeat(2), MODALITIES.repeat(2))
    assert list(parts) == [*[part for part in without if part != "total"], name, "total"]
    assert all(torch.equal(parts[part], without[part]) for part in without if part != "total")
    assert parts["total"].item() == pytest.approx(without["total"].item() + 0.25 * parts[name].item(), rel=1e-6)


def test_a_loss_comes_with_its_method_unless_its_weight_is_zero() -> None:
    bridge = network({"bridge": {}})
    assert objective(bridge).weights["bridge"] == 1
    assert "bridge" not in objective(bridge, {"bridge": {"weight": 0}}).weights
    assert "bridge" not in objective(network({}), {"bridge": {}})(network({})(*images()), LABELS, MODALITIES)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            {"nonlocal": {}},
            r"model\.methods\.nonlocal: unknown method nonlocal; expected one of adapter, .*; did you mean non_local\?",
        ),
        ({"os": {}}, r"model\.methods\.os: unknown"),
        ({"../../x": {}}, r"model\.methods\.\.\./\.\./x: unknown"),
        ({"stripes": {"count": 0}}, r"model\.methods\.stripes\.count=0: input should be greater than or equal to 1"),
        ({"stripes": {"count": True}}, r"stripes\.count=true: input should be a valid integer"),
        ({"stripes": {"count": [2] * 99}}, r"stripes\.count=\[2, 2.{40,60}: input should be a valid integer"),
        ({"non_local": {"inner": "x"}}, r'non_local\.inner="x": input should be a valid integer'),
        ({"zero_padding": {"a": 1}}, r"zero_padding\.a: unknown option; expected one of none"),
    ],
)
def test_a_bad_choice_is_one_line(methods: dict[str, Any], message: str) -> None:
    with pytest.raises(VireidError, match=rf"^(model\.methods\.)?{message}") as caught:
        network(methods)
    assert "\n" not in str(caught.value)
