"""Half and twice the resolution, [b, C, H, W]: what torch's max_pool2d and interpolate do, sooner on a CPU.

torch's kernels for contiguous maps use no vector instructions there; slices and sums do. See docs/tuning.md.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def halve(x: Tensor) -> Tensor:
    """The maximum of each 2 × 2 sites, [b, C, H/2, W/2]; H and W are even."""
    if x.is_cuda or torch.is_grad_enabled():
        return F.max_pool2d(x, 2)
    upper = torch.maximum(x[:, :, 0::2, 0::2], x[:, :, 0::2, 1::2])
    lower = torch.maximum(x[:, :, 1::2, 0::2], x[:, :, 1::2, 1::2])
    return torch.maximum(upper, lower)


def double(x: Tensor) -> Tensor:
    """Each site as 2 × 2 sites, [b, C, 2·H, 2·W]."""
    return F.interpolate(x, scale_factor=2, mode="nearest") if x.is_cuda else _doubled(x)


class _Double(torch.autograd.Function):
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
