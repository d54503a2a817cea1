"""What lies beyond the last site, as a convolution sees it."""

from __future__ import annotations

from typing import Any

import torch
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
    if rows == columns == "periodic":
        out: Tensor = _Wrapped.apply(x, width)  # type: ignore[no-untyped-call]
        return out
    if rows == columns:
        return F.pad(x, (width,) * 4, _MODES[rows])
    return F.pad(F.pad(x, (0, 0, width, width), _MODES[rows]), (width, width, 0, 0), _MODES[columns])


class _Wrapped(torch.autograd.Function):
    """Periodic padding on all sides, by copies of strips: torch's own takes twice the time of a convolution."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, width: int) -> Tensor:
        ctx.width, (height, length) = width, x.shape[-2:]
        out = F.pad(x, (width,) * 4)
        out[:, :, :, :width] = out[:, :, :, length : length + width]
        out[:, :, :, length + width :] = out[:, :, :, width : 2 * width]
        out[:, :, :width] = out[:, :, height : height + width]
        out[:, :, height + width :] = out[:, :, width : 2 * width]
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        width, total = ctx.width, gradient.clone()
        height, length = (side - 2 * width for side in gradient.shape[-2:])
        total[:, :, height : height + width] += total[:, :, :width]
        total[:, :, width : 2 * width] += total[:, :, height + width :]
        total[:, :, :, length : length + width] += total[:, :, :, :width]
        total[:, :, :, width : 2 * width] += total[:, :, :, length + width :]
        return total[:, :, width : height + width, width : length + width], None


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, boundaries: Boundaries) -> Tensor:
    """The convolution of maps with a kernel of odd side, [b, O, H, W]. weight: [O, C, k, k]."""
    width = weight.shape[-1] // 2
    if boundaries == OPEN:
        return F.conv2d(x, weight, bias, padding=width)
    return F.conv2d(padded(x, width, boundaries), weight, bias)


class Bounded(nn.Module):
    """A layer that sees what lies beyond the lattice. `boundaries` is set for a whole network by ``set_boundaries``."""

    boundaries: Boundaries = OPEN


class Convolution(nn.Conv2d, Bounded):
    """A convolution with a kernel of odd side that keeps H and W, padded as the lattice's boundaries say."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return convolved(x, self.weight, self.bias, self.boundaries)


def set_boundaries(network: nn.Module, boundaries: Boundaries) -> None:
    """Set the boundaries of a network's layers."""
    for module in network.modules():
        if isinstance(module, Bounded):
            module.boundaries = boundaries
