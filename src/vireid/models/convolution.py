"""A 3x3 convolution whose weight gradient is one matrix product where the maps are small and the processor has bf16."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

POSITIONS, CHANNELS = 64, 128
"""At most so many positions, at least so many channels on both sides: beyond, oneDNN's own gradient is no slower."""


class Conv3x3(nn.Conv2d):
    """3x3 convolution with padding 1 and no bias, parameters and result as of `torch.nn.Conv2d`.

    Under bf16 autocast on a processor oneDNN's weight gradient takes twice the time of the forward pass where rows are
    a few positions long, as in layer3 and layer4 of a network for small images (docs/performance.md). The same sum is
    a product of the gradient with the 3x3 neighbourhoods, which runs at the speed of any matrix product.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, d, ceil(h / stride), ceil(w / stride))."""
        plain = self.stride == (1, 1) and self.padding_mode == "zeros"
        if plain and min(self.in_channels, self.out_channels) >= CHANNELS and _gains(x):
            dtype = torch.bfloat16
            return _ProductGradient.apply(x.to(dtype), self.weight.to(dtype))  # type: ignore[no-any-return]
        return super().forward(x)


def _gains(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.shape[2] * x.shape[3] <= POSITIONS
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and not torch.compiler.is_compiling()
    )


class _ProductGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, padding=1)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            one, none = [1, 1], [0, 0]
            sides = [True, False, False]
            to_x = torch.ops.aten.convolution_backward(gradient, x, weight, None, one, one, one, False, none, 1, sides)[
                0
            ]
        if ctx.needs_input_grad[1]:
            to_weight = weight_gradient(x, gradient)
        return to_x, to_weight


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Gradient (d, c, 3, 3) of a 3x3 convolution with padding 1, in channels-last memory.

    Args:
        x: its input (b, c, h, w). gradient: of its output, (b, d, h, w).
    """
    batch, channels, height, width = x.shape
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    image, row, column, one = padded.stride()
    # three neighbours in a row lie side by side in memory: (b, h, w, 3, 3 * c)
    around = padded.as_strided((batch, height, width, 3, 3 * channels), (image, row, column, row, one))
    product = gradient.permute(0, 2, 3, 1).flatten(0, 2).T @ around.reshape(batch * height * width, 9 * channels)
    return product.view(-1, 3, 3, channels).permute(0, 3, 1, 2)
