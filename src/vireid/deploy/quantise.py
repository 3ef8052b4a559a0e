"""Static int8 of an exported graph: QDQ, weights per channel, what hurts the feature left in float."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vireid.deploy.embedder import Vectors
from vireid.deploy.graph import INPUT
from vireid.deploy.session import features_of, open_session
from vireid.images import Pixels
from vireid.types import VireidError

if TYPE_CHECKING:
    import onnx

_DRAWN = 10_000
"""Values that are looked at of every tensor in every batch of eight images."""

_TYPES = ["Conv", "MatMul", "Add", "MaxPool", "Relu"]
_STEMS = ("visible", "infrared")
_BLOCK = re.compile(r"^((?:(?:visible|infrared)\.)?layer[123]\.\d+|branches\.\d+\.layer4\.\d+|visible|infrared)\b")


@dataclass(frozen=True)
class Quantised:
    """An int8 graph, the blocks of it that stayed in float, and its cosines (n,) with the expected features."""

    model: onnx.ModelProto
    float_blocks: tuple[str, ...]
    cosines: Vectors


def quantise(
    model: onnx.ModelProto,
    calibration: Pixels,
    images: Pixels,
    expected: Vectors,
    lowest: float,
    progress: Callable[[int, int], None] | None = None,
) -> Quantised:
    """Quantise a float32 graph to int8 so that no feature turns further than ``lowest`` from the expected one.

    Convolutions, the residual sums of their blocks and what lies between become int8, of a transformer the patches'
    convolution and the linear layers; DFW, attention's products, norms, pooling and the neck stay in float. Where that
    is too coarse, blocks go back to float one by one, first the block that matters most alone, until the lowest cosine
    is reached.

    Args:
        calibration: (n, h, w, 3), whose activations set the scales.
        images, expected: (m, h, w, 3) and their features in float32 (m, d).
        lowest: cosine to reach on every one of ``images``.
        progress: called with (blocks tried, blocks).

    Raises:
        VireidError: not even all blocks in float reach it.
    """
    ranges = _ranges(model, calibration)

    def attempt(blocks: tuple[str, ...]) -> Quantised:
        quantised = _insert(model, ranges, blocks)
        found = features_of(open_session(quantised.SerializeToString()), images)
        return Quantised(quantised, blocks, (found * expected).sum(1))

    best = attempt(())
    if best.cosines.min() >= lowest:
        return best
    blocks = sorted({block for node in model.graph.node if (block := _block(node.name))})
    gains = {}
    for done, block in enumerate(blocks, 1):
        gains[block] = float(attempt((block,)).cosines.min())
        if progress:
            progress(done, len(blocks))
    order = sorted(blocks, key=gains.__getitem__, reverse=True)
    for count in range(1, len(order) + 1):
        best = attempt(tuple(order[:count]))
        if best.cosines.min() >= lowest:
            return best
    raise VireidError(
        f"int8: lowest cosine {best.cosines.min():.5f} with every block in float, expected {lowest}; export float32"
    )


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that may be quantised: convolutions and linear layers, and what is between a block's convolutions."""
    constants = {tensor.name for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in _TYPES and _block(node.name)]
    # The sums of a transformer are the one thing that all its blocks share, and would lose most.
    summing = {_block(node.name) for node in nodes if node.op_type == "Conv"} - set(_STEMS)
    unfit = {
        node.name
        for node in nodes
        if (node.op_type == "MatMul" and node.input[1] not in constants)
        or (node.op_type == "Add" and _block(node.name) not in summing)
    }
    return [node for node in nodes if node.name not in unfit]


def _block(name: str) -> str | None:
    """The block, or the stem before them, that a node named by its module belongs to."""
    found = _BLOCK.match(name)
    return found[1] if found else None


def _last_blocks(model: onnx.ModelProto) -> set[str]:
    """The last residual block of every branch."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        block = _block(node.name)
        if block and block.startswith("branches"):
            branch = block.split(".layer4")[0]
            found[branch] = max(found.get(branch, block), block)
    return set(found.values())


def _ranges(model: onnx.ModelProto, calibration: Pixels) -> Any:
    """The range of every tensor that may be quantised: its extremes, drawn in to where eight bits err least (squared).

    Judged on values drawn from the tensors of all calibration images.
    """
    from onnx import TensorProto, helper
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData

    constants = {tensor.name for tensor in model.graph.initializer}
    names = sorted({name for node in _nodes(model) for name in (*node.input, *node.output)} - constants)
    probe = copy.deepcopy(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session, random = open_session(probe.SerializeToString()), np.random.default_rng(0)
    drawn: dict[str, list[Vectors]] = {name: [] for name in names}
    extremes = dict.fromkeys(names, (0.0, 0.0))
    for start in range(0, len(calibration), 8):
        batch = session.run(names, {INPUT: calibration[start : start + 8]})
        for name, values in zip(names, batch, strict=True):
            low, high = extremes[name]
            extremes[name] = (min(low, float(values.min())), max(high, float(values.max())))
            drawn[name].append(values.ravel()[random.integers(0, values.size, _DRAWN)])
    found = {name: _narrowed(np.concatenate(drawn[name]), *extremes[name]) for name in names}
    return TensorsData(CalibrationMethod.MinMax, found)


def _narrowed(values: Vectors, low: float, high: float) -> tuple[np.float32, np.float32]:
    """The share of [low, high], which holds 0, whose 256 levels are nearest to the values."""
    errors = {}
    for share in np.linspace(0.3, 1, 36):
        step = (high - low) * share / 255 or 1.0
        zero = round(-low * share / step)
        levels = np.clip(np.rint(values / step) + zero, 0, 255) - zero
        errors[share] = float(np.square(levels * step - values).mean())
    best = min(errors, key=errors.__getitem__)
    return np.float32(low * best), np.float32(high * best)


def _insert(model: onnx.ModelProto, ranges: Any, float_blocks: tuple[str, ...]) -> onnx.ModelProto:
    """Return a copy of the graph with quantisation around `_nodes`, except of the blocks that stay in float."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    last = {f"{branch}/add" for branch in _last_blocks(model)}  # what is pooled stays as exact as it is
    quantised = {
        node.name
        for node in _nodes(model)
        if _block(node.name) not in float_blocks and node.name.split("_")[0] not in last
    }
    logging.disable(logging.WARNING)  # it advises a pass over the graph that changes nothing in this one
    try:
        quantizer = QDQQuantizer(
            model=copy.deepcopy(model),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=[node.name for node in model.graph.node if node.name not in quantised],
            op_types_to_quantize=_TYPES,
            extra_options={"WeightSymmetric": True, "OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
        quantizer.quantize_model()
    finally:
        logging.disable(logging.NOTSET)
    result: onnx.ModelProto = quantizer.model.model
    return result
