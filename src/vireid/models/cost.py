"""Parameters, multiply-accumulates, memory and speed of a network (Table 2)."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vireid.machine import peak_memory
from vireid.models.backbone import Multiplies
from vireid.models.network import TwoStreamNetwork


@dataclass(frozen=True)
class Cost:
    """Cost of embedding one visible and one infrared image.

    ``parameters`` leave out the classifiers, which retrieval drops. ``macs`` counts convolutions, linear layers and the
    two products of a transformer's attention (queries by keys, and their softmax by values); other products of maps are
    left out. ``macs_with_batchnorm`` adds two operations per output element of a BatchNorm or an instance normalisation
    and one per output element of a convolution with a bias, the convention of Table 2; LayerNorms are left out.
    ``peak_memory`` is in bytes, for 16 images at a time: allocated on a GPU; on a CPU the resident set of the process,
    PyTorch itself included.
    """

    parameters: int
    macs: int
    macs_with_batchnorm: int
    peak_memory: int
    images_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def count_parameters(network: TwoStreamNetwork) -> int:
    """Number of parameters without the classifiers."""
    return sum(p.numel() for name, p in network.named_parameters() if ".classifier." not in name)


@torch.no_grad()
def count_macs(network: TwoStreamNetwork, height: int, width: int) -> tuple[int, int]:
    """Return `Cost.macs` and `Cost.macs_with_batchnorm` of one visible + infrared pair."""
    counts = {"mac": 0, "norm": 0}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1]
            counts["mac"] += output.numel() * kernel * module.in_channels // module.groups
            counts["norm"] += output.numel() if module.bias is not None else 0
        elif isinstance(module, nn.Linear):
            counts["mac"] += output.numel() * module.in_features
        elif isinstance(module, norms):
            counts["norm"] += 2 * output.numel()
        elif isinstance(module, Multiplies):
            counts["mac"] += module.products(*inputs)

    norms = (nn.BatchNorm2d, nn.InstanceNorm2d)
    counted = (nn.Conv2d, nn.Linear, *norms, Multiplies)
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, counted)]
    training = network.training
    try:
        image = torch.zeros(1, 3, height, width, device=next(network.parameters()).device)
        network.eval()(image, image)
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    return counts["mac"], counts["mac"] + counts["norm"]


def measure_alone(build: Callable[[], TwoStreamNetwork], height: int, width: int, device: torch.device) -> Cost:
    """Run `measure_cost` in a process of its own: the peak memory of a process only fits the first thing it measures.

    Args:
        build: makes the network in that process; has to be picklable.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_build_and_measure, build, height, width, device).result()


def _build_and_measure(build: Callable[[], TwoStreamNetwork], height: int, width: int, device: torch.device) -> Cost:
    return measure_cost(build().to(device), height, width)


@torch.no_grad()
def measure_cost(network: TwoStreamNetwork, height: int, width: int, batch: int = 8, seconds: float = 3.0) -> Cost:
    """Count and time a network on its own device, with batches of ``batch`` visible and ``batch`` infrared images."""
    device = next(network.parameters()).device
    macs, with_norm = count_macs(network, height, width)
    images = torch.zeros(batch, 3, height, width, device=device).contiguous(memory_format=torch.channels_last)
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network(images, images)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
    start, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - start < seconds:
        network(images, images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        done += 2 * batch
    speed = done / (time.perf_counter() - start)
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)
    else:
        memory = peak_memory()
    return Cost(count_parameters(network), macs, with_norm, memory, speed)
