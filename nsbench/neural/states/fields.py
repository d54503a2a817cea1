"""Fields: real numbers at every site, and p(x' | x) is a product of Gaussians of the increments x' − x."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nsbench.components.protocol import Decode
from nsbench.neural.states.space import StateSpace
from nsbench.trajectories.base import Trajectories

MEASURED = 4096
"""The number of training transitions that scales are measured on, at most."""

FLOOR = 1e-3
"""The smallest standard deviation of a predicted increment, in units of its channel's."""

_AT_ONCE = 64


class Fields(StateSpace):
    """States of C channels of real numbers, each standardised by the training set.

    A network puts out 2·C maps: the mean of each channel's increment and, by softplus, its standard deviation, both in
    units of the channel's increments in the training set. A channel that never changes there is carried over as it is,
    and contributes nothing.
    """

    mean: Tensor
    std: Tensor
    drift: Tensor
    spread: Tensor
    moves: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inputs, self.outputs = channels, 2 * channels
        for name, value in {"mean": 0.0, "std": 1.0, "drift": 0.0, "spread": 1.0, "moves": 1.0}.items():
            self.register_buffer(name, torch.full((channels, 1, 1), value))

    def measure(self, train: Trajectories) -> None:
        index, t = train.transitions()
        some = np.unique(np.linspace(0, len(index) - 1, min(MEASURED, len(index))).astype(np.int64))
        sums = np.zeros((4, self.inputs))  # of x, x², x' − x and its square
        count = 0
        for first in range(0, len(some), _AT_ONCE):
            chosen = some[first : first + _AT_ONCE]
            x, x_next = (train.at(index[chosen], t[chosen] + later).astype(np.float64) for later in (0, 1))
            step = x_next - x
            sums += np.stack([a.sum(axis=(0, 2, 3)) for a in (x, x**2, step, step**2)])
            count += x[:, 0].size
        mean, square, drift, step_square = sums / count
        std = np.sqrt(np.maximum(square - mean**2, 0))
        spread = np.sqrt(np.maximum(step_square - drift**2, 0))
        std = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-30), std, 1.0)
        moves = step_square > (1e-6 * np.maximum(np.abs(mean), std)) ** 2
        spread = np.where(moves & (spread > 0), spread, 1.0)
        for name, values in {"mean": mean, "std": std, "drift": drift, "spread": spread, "moves": moves}.items():
            getattr(self, name).copy_(torch.from_numpy(values.astype(np.float32))[:, None, None])

    def encode(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def encode_next(self, x: Tensor, x_next: Tensor) -> Tensor:
        """The increment, standardised: beside x it tells x_next, and small changes are not small numbers."""
        return (x_next - x - self.drift) / self.spread * self.moves

    def distribution(self, out: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the standardised increments, each float32[b, C, H, W]."""
        mean, raw = out.float().chunk(2, dim=1)
        return mean, F.softplus(raw) + FLOOR

    def site_loss(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        mean, scale = self.distribution(out)
        apart = (self.encode_next(x, x_next) - mean) / scale
        return (0.5 * apart**2 + scale.log() + 0.5 * math.log(2 * math.pi)) * self.moves

    def log_density(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        """The log-density in the channels' own units; −inf where a channel that never changes does."""
        nats = -(self.site_loss(out, x, x_next).double() + self.spread.double().log() * self.moves)
        still = (x_next == x) | (self.moves > 0)
        return torch.where(still, nats, -torch.inf).flatten(1).sum(1)

    def next_state(self, x: Tensor, out: Tensor, decode: Decode, generator: torch.Generator) -> Tensor:
        step, scale = self.distribution(out)
        if decode == "sample":
            step = step + scale * torch.randn(step.shape, generator=generator, device=step.device)
        return x + (self.drift + self.spread * step) * self.moves

    def changes(self, out: Tensor, other: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Σ |difference of the means| in standard deviations of increments, and Σ of the total variations.

        The total variation is that of Gaussians with the mean of both deviations.
        """
        (mean, scale), (mean_other, scale_other) = self.distribution(out), self.distribution(other)
        apart = (mean - mean_other).abs() * self.moves
        variation = torch.erf(apart / (math.sqrt(2) * (scale + scale_other)))
        return apart.double().flatten(1).sum(1), variation.double().flatten(1).sum(1)

    def changed(self, x: Tensor, x_next: Tensor) -> Tensor:
        return ((x_next - x).abs() / self.spread * self.moves).double().flatten(1).sum(1)
