"""A 3x3 convolution that trains as matrix products if the maps are small and the processor has bf16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

WIDTH, CHANNELS = 4, 128
"""Longest row in positions and fewest channels on either side; beyond these limits oneDNN is no slower."""


class Conv3x3(nn.Conv2d):
    """3x3 convolution with padding 1 and no bias, with the parameters and the result of `torch.nn.Conv2d`.

    Under bf16 autocast on a processor oneDNN multiplies the padding too, two ninths of the work where rows are three
    positions long, as in layer3 and layer4 of a network for small images, and its weight gradient takes nearly twice
    the time of the forward pass. The same sums as matrix products do not (docs/performance.md).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, d, ceil(h / stride), ceil(w / stride))."""
        plain = self.stride == (1, 1) and self.padding_mode == "zeros"
        if plain and min(self.in_channels, self.out_channels) >= CHANNELS and _gains(x):
            dtype = torch.bfloat16
            result: Tensor = _Products.apply(x.to(dtype), self.weight.to(dtype))  # type: ignore[no-untyped-call]
            return result
        return super().forward(x)


def _gains(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.shape[3] <= WIDTH
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and not torch.compiler.is_compiling()
    )


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return convolve(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight = ctx.needs_input_grad
        return (
            input_gradient(gradient, weight) if to_x else None,
            weight_gradient(x, gradient) if to_weight else None,
        )


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """3x3 convolution with padding 1 of (b, c, h, w) by (d, c, 3, 3): (b, d, h, w) in channels-last memory."""
    kernel = weight.permute(0, 2, 3, 1)
    return _columns(x, lambda near, taps: near @ kernel[:, :, taps].reshape(len(kernel), -1).T)


def input_gradient(gradient: Tensor, weight: Tensor) -> Tensor:
    """Gradient (b, c, h, w) with respect to the input of `convolve`, from that of its result (b, d, h, w)."""
    kernel = weight.permute(2, 3, 0, 1).flip(0, 1)
    return _columns(gradient, lambda near, taps: near @ kernel[:, taps].reshape(-1, kernel.shape[3]))


def _columns(x: Tensor, product: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """(b, d, h, w), each column the ``product`` (b * h, d) of its neighbours in (b, c, h, w) and of the taps they meet.

    Neighbours are (b * h, 3 * n * c), n the two or three columns beside and at it that exist.
    """
    batch, channels, height, width = x.shape
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 0, 1, 1))
    image, row, column, one = padded.stride()
    columns = []
    for middle in range(width):
        first, last = max(0, middle - 1), min(width, middle + 2)
        size, strides = (batch, height, 3, (last - first) * channels), (image, row, row, one)
        near = padded.as_strided(size, strides, first * column).reshape(batch * height, -1)
        columns.append(product(near, slice(first - middle + 1, last - middle + 1)))
    return torch.stack(columns, 1).view(batch, height, width, -1).permute(0, 3, 1, 2)


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Gradient (d, c, 3, 3) with respect to the weight of `convolve`, from its input and the gradient of its result.

    One product per column of the kernel, over the positions whose neighbour in that direction is not padding.
    """
    batch, channels, height, width = x.shape
    padded, gradient = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 0, 1, 1)), gradient.permute(0, 2, 3, 1)
    image, row, column, one = padded.stride()
    result = x.new_zeros(gradient.shape[3], 3, 3, channels)
    for tap in (-1, 0, 1):
        first, last = max(0, -tap), min(width, width - tap)
        size, strides = (batch, height, last - first, 3, channels), (image, row, column, row, one)
        above_to_below = padded.as_strided(size, strides, (first + tap) * column).reshape(-1, 3 * channels)
        product = gradient[:, :, first:last].reshape(-1, gradient.shape[3]).T @ above_to_below
        result[:, :, tap + 1] = product.view(-1, 3, channels)
    return result.permute(0, 3, 1, 2)
