"""Static int8 of an exported graph: QDQ, weights per channel, what hurts the feature left in float."""

from __future__ import annotations

import copy
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vireid.data.images import Pixels
from vireid.deploy.embedder import BATCH, Vectors
from vireid.deploy.graph import INPUT
from vireid.deploy.session import features_of, open_session
from vireid.types import VireidError

if TYPE_CHECKING:
    import onnx

_TYPES = ["Conv", "Add", "MaxPool", "Relu"]
_BLOCK = re.compile(r"^(stem\.layer1\.\d+|layer[23]\.\d+|branches\.\d+\.layer4\.\d+|stem)\b")


@dataclass(frozen=True)
class Quantised:
    """An int8 graph, the blocks of it that stayed in float, and its cosines (n,) with the features it was checked on."""

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

    Convolutions, residual sums and what lies between them become int8; DFW, pooling and the neck stay in float. Where
    that is too coarse, residual blocks go back to float one by one, first the block that matters most alone, until the
    lowest cosine is reached.

    Args:
        calibration: (n, h, w, 3), whose smallest and largest activations set the scales.
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


def _block(name: str) -> str | None:
    """The residual block, or the stem before them, that a node named by its module belongs to."""
    found = _BLOCK.match(name)
    return found[1] if found else None


def _ranges(model: onnx.ModelProto, calibration: Pixels) -> Any:
    """Smallest and largest value of every tensor that may be quantised."""
    from onnxruntime.quantization.calibrate import CalibrationDataReader, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self.batches: Iterator[Pixels] = iter(np.array_split(calibration, -(-len(calibration) // BATCH)))

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    import onnx

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "float.onnx"
        onnx.save(model, plain)
        calibrator = create_calibrator(plain, _TYPES, augmented_model_path=str(Path(folder) / "augmented.onnx"))
        calibrator.collect_data(Reader())
        return calibrator.compute_data()


def _insert(model: onnx.ModelProto, ranges: Any, float_blocks: tuple[str, ...]) -> onnx.ModelProto:
    """Return a copy of the graph with quantisation around every convolution, residual sum and pooling of a block."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    kept = [n.name for n in model.graph.node if (b := _block(n.name)) is None or b in float_blocks]
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
            nodes_to_exclude=kept,
            op_types_to_quantize=_TYPES,
            extra_options={"WeightSymmetric": True},
        )
        quantizer.quantize_model()
    finally:
        logging.disable(logging.NOTSET)
    result: onnx.ModelProto = quantizer.model.model
    return result
