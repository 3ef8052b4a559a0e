"""A run's network as an ONNX graph: one modality, from uint8 pixels to the feature and the response map."""

from __future__ import annotations

import ast
import copy
import logging
import re
import warnings
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vireid.data.augment import MEAN, STD
from vireid.deploy.run import branch_response
from vireid.models.network import TwoStreamNetwork, embedding
from vireid.models.pooling import FLOOR, GeneralisedMean
from vireid.models.segmented import Branch
from vireid.types import Modality

if TYPE_CHECKING:
    import onnx

INPUT, FEATURE, RESPONSE = "images", "embedding", "response"


class ModalityGraph(nn.Module):
    """One modality's half of a network in evaluation mode, in expressions that are cheap without autograd.

    BatchNorms are folded into the convolutions before them.

    Args:
        network: not changed.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: TwoStreamNetwork, modality: Modality) -> None:
        super().__init__()
        self.network, self.modality = copy.deepcopy(network).cpu().float().eval(), modality
        _fold(self.network)
        for branch in cast("list[Branch]", list(self.network.branches)):
            if isinstance(branch.pool, GeneralisedMean) and branch.pool.power == 3:
                setattr(branch, "pool", _CubicMean())  # noqa: B010
        self.register_buffer("mean", 255 * torch.tensor(MEAN)[:, None, None])
        self.register_buffer("scale", 1 / (255 * torch.tensor(STD)[:, None, None]))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 RGB (b, h, w, 3) to features (b, d) and response maps (b, h', w')."""
        pixels = (images.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        output = self.network(*((pixels, None) if self.modality is Modality.VISIBLE else (None, pixels)))
        return embedding(output.normed), branch_response(output.maps)


class _CubicMean(nn.Module):
    """`GeneralisedMean` of power 3 by multiplications."""

    def forward(self, maps: Tensor) -> Tensor:
        x = maps.clamp_min(0)
        return ((x * x * x).mean((2, 3)) + FLOOR).pow(1 / 3)


def _fold(module: nn.Module) -> None:
    """Fold every BatchNorm into the convolution that is registered right before it."""
    last: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and last:
            setattr(module, last[0], fuse_conv_bn_eval(last[1], child))
            setattr(module, name, nn.Identity())
        last = (name, child) if isinstance(child, nn.Conv2d) else None
        _fold(child)


def to_onnx(network: TwoStreamNetwork, modality: Modality, height: int, width: int) -> onnx.ModelProto:
    """Export one modality of a network: input ``images`` uint8 (n, height, width, 3), n free.

    Nodes are named by the module that they come from, as in ``layer2.0.conv1/conv2d``; nothing else of this machine
    and its files is in the graph.
    """
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns that torchvision, which nothing here uses, is not there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                ModalityGraph(network, modality).eval(),
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[FEATURE, RESPONSE],
                dynamic_shapes={INPUT: {0: torch.export.Dim("n", min=1)}},
                verbose=False,
            )
    finally:
        log.setLevel(level)
    assert program is not None
    return _clean(program.model_proto)


def _clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Name the nodes by module and drop what the exporter notes of source files."""
    for node in model.graph.node:
        notes = {entry.key: entry.value for entry in node.metadata_props}
        scopes = [s for s in ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]")) if s]
        kind = re.sub(r"^node_", "", node.name)
        node.name = f"{scopes[-2].removeprefix('network.')}/{kind}" if len(scopes) > 1 else kind
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for part in (model, model.graph, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    return model
