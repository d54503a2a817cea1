"""What lies beyond the last site, as a convolution sees it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.trajectories.domain import Boundary

Boundaries = tuple[Boundary, Boundary]

OPEN: Boundaries = ("open", "open")

_MODES: dict[Boundary, str] = {"open": "constant", "closed": "replicate", "mirror": "reflect", "periodic": "circular"}
"""What torch calls each boundary."""


def padded(x: Tensor, width: int, boundaries: Boundaries) -> Tensor:
    """Maps [b, C, H, W] with `width` sites of what lies beyond each side."""
    rows, columns = boundaries
    if rows == columns:
        return F.pad(x, (width,) * 4, _MODES[rows])
    return F.pad(F.pad(x, (0, 0, width, width), _MODES[rows]), (width, width, 0, 0), _MODES[columns])


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, boundaries: Boundaries) -> Tensor:
    """The convolution of maps with a kernel of odd side, [b, O, H, W]. weight: [O, C, k, k]."""
    width = weight.shape[-1] // 2
    if boundaries == OPEN:
        return F.conv2d(x, weight, bias, padding=width)
    return F.conv2d(padded(x, width, boundaries), weight, bias)


class Convolution(nn.Conv2d):
    """A convolution with a kernel of odd side that keeps H and W, padded as the lattice's boundaries say.

    `boundaries` is set for all convolutions of a network by ``set_boundaries``.
    """

    boundaries: Boundaries = OPEN

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return convolved(x, self.weight, self.bias, self.boundaries)


def set_boundaries(network: nn.Module, boundaries: Boundaries) -> None:
    """Set the boundaries of a network's convolutions."""
    for module in network.modules():
        if isinstance(module, Convolution):
            module.boundaries = boundaries
