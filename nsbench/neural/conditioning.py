"""The parameters of a trajectory as inputs of a network: the chosen ones, standardised by the training set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nsbench.trajectories.domain import Domain


def chosen_parameters(domain: Domain, which: str) -> list[str]:
    """The names of the parameters that a network is given: "varying" ones or "all", hidden ones never."""
    if which == "all":
        return [p.name for p in domain.parameters if not p.hidden]
    return [domain.parameters[i].name for i in domain.varying]


def columns_of(domain: Domain, names: Sequence[str]) -> list[int]:
    """The columns of the named parameters in ``Trajectories.params`` of that domain."""
    return [domain.column(name) for name in names]


class Standardise(nn.Module):
    """The map y = (params − mean) / std; a parameter that never differs becomes 0.

    float32[b, P] -> float32[b, P]. Mean and deviation are buffers: they are saved with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    def measure(self, params: NDArray[np.float64]) -> None:
        """Set mean and deviation to those of float64[n, P]."""
        mean, std = params.mean(axis=0), params.std(axis=0)
        # A constant column may leave a deviation of rounding: dividing by it would amplify the rounding.
        std = np.where(std > 1e-9 * np.maximum(np.abs(mean), 1e-30), std, 1.0)
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))

    def forward(self, params: Tensor) -> Tensor:
        return (params - self.mean) / self.std
