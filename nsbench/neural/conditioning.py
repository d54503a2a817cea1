"""The parameters of a trajectory as inputs of a network: the chosen ones, standardised by the training set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nsbench.trajectories.domain import Domain

Power = float | Literal["likelihood"] | None


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
        self._centre(params)

    def _centre(self, params: NDArray[np.float64]) -> None:
        mean, std = params.mean(axis=0), params.std(axis=0)
        # A constant column may leave a deviation of rounding: dividing by it would amplify the rounding.
        std = np.where(std > 1e-9 * np.maximum(np.abs(mean), 1e-30), std, 1.0)
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))

    def forward(self, params: Tensor) -> Tensor:
        return (params - self.mean) / self.std


class BoxCox(Standardise):
    """Standardise after Box and Cox's transformation, (p^λ − 1) / λ, log p for λ = 0, of each positive parameter.

    given: λ, or "likelihood": the one under which the training set's are most likely from a normal distribution. A
    parameter that never differs, or is not positive throughout, keeps λ = 1.
    Box & Cox 1964, doi 10.1111/j.2517-6161.1964.tb00553.x.
    """

    power: Tensor

    def __init__(self, inputs: int, given: float | Literal["likelihood"]) -> None:
        super().__init__(inputs)
        self.given = given
        self.register_buffer("power", torch.ones(inputs))

    def measure(self, params: NDArray[np.float64]) -> None:
        self.power.copy_(torch.tensor([box_cox_power(column, self.given) for column in params.T]))
        self._centre(self._transformed(torch.from_numpy(params).to(self.power.device)).cpu().numpy())

    def forward(self, params: Tensor) -> Tensor:
        return super().forward(self._transformed(params.double()).float())

    def _transformed(self, params: Tensor) -> Tensor:
        """The transformed parameters, float64[n, P]; differences of float32 would lose digits."""
        power = self.power.double()
        curved, safe = power != 1, torch.where(power == 0, 1.0, power)
        base = torch.where(curved, params, 1.0)
        powers = torch.where(power == 0, base.log(), (base**safe - 1) / safe)
        return torch.where(curved, powers, params)


def box_cox_power(values: NDArray[np.float64], given: float | Literal["likelihood"]) -> float:
    """λ of Box and Cox's transformation of float64[n]; 1 where the values never differ or are not all positive."""
    from scipy.stats import boxcox

    if values.min() <= 0 or np.ptp(values) <= 1e-9 * np.abs(values).max():
        return 1.0
    return float(boxcox(values)[1]) if given == "likelihood" else given
