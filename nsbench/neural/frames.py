"""States made on the device, when they are needed, from trajectories."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.growth import GrowthTrajectories

NEVER = torch.iinfo(torch.int32).max


class Frames:
    """The frames of n trajectories, and the parameters y, float32[n, P], that condition them."""

    def __init__(self, trajectories: Trajectories, y: Tensor) -> None:
        if trajectories.domain.stride is None:
            raise ValueError("a fit needs framed trajectories: the domain has no stride")
        self.trajectories, self.y = trajectories, y
        self.lengths = trajectories.lengths.astype(np.int64)
        self.index, self.t = trajectories.transitions()
        if not len(self.index):
            raise ValueError("no transition to learn from: every trajectory has a single frame")

    @property
    def device(self) -> torch.device:
        return self.y.device

    def states(self, index: NDArray[np.int64], t: NDArray[np.int64]) -> Tensor:
        """The states of trajectories index[b] at frames t[b], float32[b, C, H, W]."""
        return torch.from_numpy(self.trajectories.at(index, t)).to(self.device)

    def conditions(self, index: NDArray[np.int64]) -> Tensor:
        """The parameters y of the trajectories at `index`, float32[b, P]."""
        return self.y[torch.from_numpy(index).to(self.device)]


class GrowthFrames(Frames):
    """The frames of growth, which is monotone: the state at frame t is arrival ≤ t.

    One int32 a site holds a trajectory on the device, whatever its length.
    """

    def __init__(self, trajectories: GrowthTrajectories, y: Tensor) -> None:
        super().__init__(trajectories, y)
        arrival = np.where(trajectories.arrival < 0, NEVER, trajectories.arrival)
        self.arrival = torch.from_numpy(arrival).to(y.device)  # [n, H, W]

    def states(self, index: NDArray[np.int64], t: NDArray[np.int64]) -> Tensor:
        arrival = self.arrival[torch.from_numpy(index).to(self.device)]
        frame = torch.from_numpy(t.astype(np.int32)).to(self.device)
        return (arrival <= frame[:, None, None]).float()[:, None]


def frames_of(trajectories: Trajectories, y: Tensor) -> Frames:
    """The frames of trajectories of any kind."""
    if isinstance(trajectories, GrowthTrajectories):
        return GrowthFrames(trajectories, y)
    return Frames(trajectories, y)
