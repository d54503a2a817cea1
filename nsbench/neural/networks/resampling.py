"""Half and twice the resolution, [b, C, H, W]: by maxima and copies, and by convolutions that are learned.

torch's max_pool2d and interpolate use no vector instructions on contiguous maps on a CPU; slices and sums do. See
docs/tuning.md.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.networks.padding import OPEN, Bounded, Convolution, padded
from nsbench.trajectories.domain import Boundary


def halve(x: Tensor) -> Tensor:
    """The maximum of each 2 × 2 sites, [b, C, H/2, W/2]; H and W are even."""
    if torch.is_grad_enabled() or not _slow_in_torch(x):
        return F.max_pool2d(x, 2)
    upper = torch.maximum(x[:, :, 0::2, 0::2], x[:, :, 0::2, 1::2])
    lower = torch.maximum(x[:, :, 1::2, 0::2], x[:, :, 1::2, 1::2])
    return torch.maximum(upper, lower)


def double(x: Tensor) -> Tensor:
    """The maps with each site repeated as 2 × 2 sites, [b, C, 2·H, 2·W]."""
    return _doubled(x) if _slow_in_torch(x) else F.interpolate(x, scale_factor=2, mode="nearest")


def _slow_in_torch(x: Tensor) -> bool:
    return not x.is_cuda and x.is_contiguous()


class _Double(torch.autograd.Function):
    """Doubling by repetition, with a gradient that sums slices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 3).repeat_interleave(2, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows = gradient[:, :, 0::2] + gradient[:, :, 1::2]
        return rows[..., 0::2] + rows[..., 1::2]


def _doubled(x: Tensor) -> Tensor:
    out: Tensor = _Double.apply(x)  # type: ignore[no-untyped-call]
    return out


class HalvingConvolution(nn.Conv2d, Bounded):
    """A 3 × 3 convolution at every second site, [b, C, H/2, W/2]; H and W are even."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.boundaries == OPEN:
            return super().forward(x)
        return F.conv2d(padded(x, 1, self.boundaries), self.weight, self.bias, stride=2)


class DoublingConvolution(nn.ConvTranspose2d, Bounded):
    """A transposed 4 × 4 convolution with stride 2, [b, C, 2·H, 2·W]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        if self.boundaries == OPEN:
            return super().forward(x)
        rows, columns = (_of_halves(boundary) for boundary in self.boundaries)
        return F.conv_transpose2d(padded(x, 1, (rows, columns)), self.weight, self.bias, stride=2, padding=3)


def doubled_convolution(x: Tensor, convolution: Convolution) -> Tensor:
    """The result of convolution(double(x)) for a 3 × 3 convolution, at 4/9 of the operations.

    After doubling, the three taps of a row fall on two sites of x, on which two depends on the phase (even
    or odd): each of the four phases is a 2 × 2 convolution of x, whose weights are sums of the 3 × 3 ones.
    """
    rows = _two_taps(convolution.weight, 2)
    weight = torch.cat([phase for row in rows for phase in _two_taps(row, 3)])  # [4·O, C, 2, 2]
    bias = None if convolution.bias is None else convolution.bias.repeat(4)
    height, width = x.shape[2:]
    phases = F.conv2d(_surrounded(x, convolution), weight, bias)
    phases = phases.view(len(x), 2, 2, -1, height + 1, width + 1)  # [b, 2, 2, O, H+1, W+1]
    lines = [
        torch.stack([phases[:, a, b, :, a : a + height, b : b + width] for b in (0, 1)], -1).flatten(-2) for a in (0, 1)
    ]
    return torch.stack(lines, -2).flatten(-3, -2)


def _surrounded(x: Tensor, convolution: Convolution) -> Tensor:
    """Maps with the sites beyond them; one that mirrors the doubled map about its last site repeats that site here."""
    if convolution.boundaries == OPEN:
        return F.pad(x, (1, 1, 1, 1))
    rows, columns = (_of_halves(boundary) for boundary in convolution.boundaries)
    return padded(x, 1, (rows, columns))


def _of_halves(boundary: Boundary) -> Boundary:
    return "closed" if boundary == "mirror" else boundary


def _two_taps(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The three taps along `dim` as two taps on sites before doubling, for the even and for the odd phase."""
    before, here, after = (weight.narrow(dim, tap, 1) for tap in range(3))
    return torch.cat((before, here + after), dim), torch.cat((before + here, after), dim)
