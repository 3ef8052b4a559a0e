from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.reference.convolution import convolution as naive
from vireid.models.convolution import Conv3x3, convolve, input_gradient, weight_gradient

LAST = torch.channels_last


@settings(max_examples=20, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 5),
    outputs=st.integers(1, 5),
    height=st.integers(1, 6),
    width=st.integers(1, 4),
    memory=st.sampled_from([LAST, torch.contiguous_format]),
    seed=st.integers(0, 2**31),
)
def test_products_equal_the_naive_sums(
    batch: int, channels: int, outputs: int, height: int, width: int, memory: torch.memory_format, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, weight, gradient = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).contiguous(memory_format=memory)
        for shape in ((batch, channels, height, width), (outputs, channels, 3, 3), (batch, outputs, height, width))
    )
    found = (convolve(x, weight), input_gradient(gradient, weight), weight_gradient(x, gradient))
    for ours, expected in zip(found, naive(x.numpy(), weight.numpy(), gradient.numpy()), strict=True):
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12)
        assert ours.permute(0, 2, 3, 1).is_contiguous()


def _gradients(convolution: nn.Conv2d, image: Tensor, dtype: torch.dtype = torch.bfloat16) -> tuple[str, list[Tensor]]:
    """What made the output, and output and gradients by input and weight."""
    image = image.clone(memory_format=torch.preserve_format).requires_grad_()
    convolution.zero_grad()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        output = convolution(image)
    output.float().square().sum().backward()
    assert image.grad is not None
    assert convolution.weight.grad is not None
    return str(output.grad_fn), [output.detach(), image.grad, convolution.weight.grad]


def _pair(inputs: int, outputs: int, stride: int = 1) -> tuple[Conv3x3, nn.Conv2d]:
    torch.manual_seed(0)
    ours, plain = Conv3x3(inputs, outputs, stride), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    plain.load_state_dict(ours.state_dict())
    return ours.to(memory_format=LAST), plain.to(memory_format=LAST)  # type: ignore[call-overload]


def test_trains_as_the_plain_convolution_in_bf16() -> None:
    ours, plain = _pair(128, 160)
    image = torch.randn(4, 128, 6, 3).contiguous(memory_format=LAST)
    (made, found), (_, expected) = _gradients(ours, image), _gradients(plain, image)
    assert "_Products" in made
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        error = (a.float() - b.float()).norm() / b.float().norm()
        assert error < 2**-8  # both are rounded to bf16, whose mantissa has 8 bits


@pytest.mark.parametrize(
    ("inputs", "outputs", "stride", "size", "dtype"),
    [
        (64, 128, 1, (6, 3), torch.bfloat16),
        (128, 128, 2, (6, 3), torch.bfloat16),
        (128, 128, 1, (12, 6), torch.bfloat16),
        (128, 128, 1, (6, 3), torch.float32),
    ],
)
def test_elsewhere_it_is_the_plain_convolution(
    inputs: int, outputs: int, stride: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    ours, plain = _pair(inputs, outputs, stride)
    image = torch.randn(2, inputs, *size).contiguous(memory_format=LAST)
    (made, found), (_, expected) = _gradients(ours, image, dtype), _gradients(plain, image, dtype)
    assert "_Products" not in made
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_evaluation_is_the_plain_convolution() -> None:
    ours, plain = _pair(128, 128)
    image = torch.randn(2, 128, 6, 3).contiguous(memory_format=LAST)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(image), plain(image))
