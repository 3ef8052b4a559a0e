"""Tiny ONNX graphs as other projects would export them: the mean colour, then a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH, DIMENSION = 32, 16, 6
MATRIX = np.random.default_rng(0).normal(size=(3, DIMENSION)).astype(np.float32)
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def graph(
    inputs: Sequence[str] = ("images",),
    *,
    outputs: Sequence[str] = ("features",),
    dtype: str = "float32",
    layout: str = "nchw",
    batch: int | str = "n",
    matrix: np.ndarray[Any, Any] = MATRIX,
    pooled: bool = False,
    height: int = HEIGHT,
    width: int = WIDTH,
) -> onnx.ModelProto:
    """The mean colour (n, 3) of each input times ``matrix``, plus one more for the second input.

    With one output for two inputs their rows follow each other. ``pooled`` leaves (n, d, 1, 1).
    """
    size = [batch, 3, height, width] if layout == "nchw" else [batch, height, width, 3]
    taken = [helper.make_tensor_value_info(name, TYPES[dtype], size) for name in inputs]
    weights = [numpy_helper.from_array(matrix + i, f"w{i}") for i in range(len(inputs))]
    axes = numpy_helper.from_array(np.array([2, 3] if layout == "nchw" else [1, 2]), "axes")
    ones = numpy_helper.from_array(np.array([2, 3]), "ones")
    nodes, rows = [], []
    for i, name in enumerate(inputs):
        row = f"row{i}" if len(outputs) < len(inputs) or pooled else outputs[i]
        nodes += [
            helper.make_node("Cast", [name], [f"f{i}"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [f"f{i}", "axes"], [f"m{i}"], keepdims=0),
            helper.make_node("MatMul", [f"m{i}", f"w{i}"], [row]),
        ]
        rows.append(row)
    if len(outputs) < len(inputs):
        nodes.append(helper.make_node("Concat", rows, list(outputs), axis=0))
    if pooled:
        nodes.append(helper.make_node("Unsqueeze", [rows[0], "ones"], list(outputs)))
    rest = [matrix.shape[1], 1, 1] if pooled else [matrix.shape[1]]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", *rest]) for name in outputs]
    made = helper.make_graph(nodes, "tiny", taken, given, [*weights, axes, *([ones] if pooled else [])])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def expected(images: np.ndarray[Any, Any], number: int = 0, scale: float = 1 / 255, mean: Any = 0, std: Any = 1) -> Any:
    """What the graph has to give for uint8 images (n, h, w, 3) through input ``number``, L2-normalised."""
    colour = ((images.astype(np.float64) * scale - np.asarray(mean)) / np.asarray(std)).mean((1, 2))
    rows = colour @ (MATRIX + number)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
