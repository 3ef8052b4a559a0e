from __future__ import annotations

from dataclasses import replace

import torch

from vireid.config import ModelConfig
from vireid.models.segmented import Branch

SMALL = ModelConfig(backbone="resnet18", base_width=8, weights="none")


def test_without_zeros_a_branch_cannot_tell_the_border() -> None:
    """A constant map stays constant, with the parameters' names and shapes of the branch that pads with zeros."""
    torch.manual_seed(0)
    plain = Branch(SMALL, 3).eval()
    padded = Branch(replace(SMALL, padding="replicate"), 3).eval()
    padded.load_state_dict(plain.state_dict())
    constant = torch.rand(2, plain.layer4[0].conv1.in_channels, 1, 1).expand(-1, -1, 6, 4)
    with torch.no_grad():
        (with_zeros, *_), (without, *_) = plain(constant), padded(constant)
    assert without.std((2, 3)).max() < 1e-5
    assert with_zeros.std((2, 3)).max() > 0.01
    torch.testing.assert_close(without[:, :, 3, 2], without[:, :, 0, 0])


def test_the_fast_gradient_of_small_maps_does_not_bring_the_zeros_back() -> None:
    wide = replace(SMALL, base_width=32, padding="replicate")
    branch = Branch(wide, 3).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    constant = torch.rand(2, branch.layer4[0].conv1.in_channels, 1, 1).expand(-1, -1, 6, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = branch.layer4[0].conv2(branch.layer4[0].conv1(constant))
    assert found.std((2, 3)).max() < 1e-5
