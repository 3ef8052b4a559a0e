from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.reference.convolution import weight_gradient as naive
from vireid.models.convolution import Conv3x3, weight_gradient

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
def test_weight_gradient_equals_the_naive_sum(
    batch: int, channels: int, outputs: int, height: int, width: int, memory: torch.memory_format, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, gradient = (
        torch.randn(batch, c, height, width, generator=generator, dtype=torch.float64).contiguous(memory_format=memory)
        for c in (channels, outputs)
    )
    found = weight_gradient(x, gradient)
    np.testing.assert_allclose(found.numpy(), naive(x.numpy(), gradient.numpy()), atol=1e-12)
    assert found.permute(0, 2, 3, 1).is_contiguous()


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
    assert "ProductGradient" in made
    for a, b in zip(found[:2], expected[:2], strict=True):
        assert torch.equal(a, b)
    assert found[2].dtype == torch.float32
    error = (found[2] - expected[2]).norm() / expected[2].norm()
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
    assert "ProductGradient" not in made
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_evaluation_is_the_plain_convolution() -> None:
    ours, plain = _pair(128, 128)
    image = torch.randn(2, 128, 6, 3).contiguous(memory_format=LAST)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(image), plain(image))
