"""One temperature for all sites, fitted by the likelihood of validation transitions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from nsbench.components.simulator import FitContext, Simulator
from nsbench.components.wrapper import Wrapper
from nsbench.neural.simulator import Network, NeuralSimulator
from nsbench.trajectories.base import Trajectories
from nsbench_wrappers.params import TemperedParams
from nsbench_wrappers.temperature import TemperedSpace, tempered

PRECISION = 1e-3
"""The relative precision of a fitted temperature."""

GOLDEN = (math.sqrt(5) - 1) / 2


class Tempered(Wrapper):
    """A network that learned nothing more than a temperature, at which its sites are drawn: see ``temperature``.

    The likelihood is that of the inner simulator at this temperature, of the same kind.
    """

    params: TemperedParams

    def bind(self, make: Callable[[], Simulator]) -> None:
        super().bind(make)
        if self.likelihood is None:
            raise ValueError(f"a temperature is fitted by likelihood, and {self.params.of.use!r} has none")
        if not isinstance(make(), NeuralSimulator):
            raise ValueError(f"a temperature is that of a network's sites, and {self.params.of.use!r} is no network")

    def take(self, members: Sequence[Simulator]) -> None:
        super().take(members)
        model = self._network().model
        model.space = tempered(model.space)

    @property
    def temperature(self) -> float:
        """T, at which sites are drawn."""
        return self._space().temperature

    @temperature.setter
    def temperature(self, temperature: float) -> None:
        self._space().temperature = temperature

    def learn(self, val: Trajectories, ctx: FitContext) -> None:
        """Fit the temperature: the mean log-likelihood, by the same draws at each, is at its largest.

        An exact one has a single maximum over T, since the logits' log-likelihood is concave in 1/T. Without validation
        transitions T stays 1.
        """
        index, t = val.transitions()
        if not len(index):
            return
        chosen = ctx.rng.permutation(len(index))[: self.params.transitions]
        index, t, seed = index[chosen], t[chosen], int(ctx.rng.integers(2**63))
        arguments = val.at(index, t), val.at(index, t + 1), val.params[index], self.params.samples

        def misfit(logarithm: float) -> float:
            self.temperature = math.exp(logarithm)
            return -float(self.log_likelihood(*arguments, np.random.default_rng(seed)).mean())

        bound = math.log(self.params.largest)
        self.temperature = math.exp(least(misfit, -bound, bound, PRECISION))
        ctx.log("val/temperature", self.temperature, ctx.transitions)

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        return self._member().rollout(start, steps, rng)

    def log_likelihood(
        self,
        x: NDArray[np.float32],
        x_next: NDArray[np.float32],
        params: NDArray[np.float64],
        samples: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        return self._member().log_likelihood(x, x_next, params, samples, rng)

    def latent_kl(
        self, x: NDArray[np.float32], x_next: NDArray[np.float32], params: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        return self._member().latent_kl(x, x_next, params)

    def flops(self, start: Trajectories, steps: int, rng: np.random.Generator) -> float | None:
        return self._member().flops(start, steps, rng)

    def save(self, directory: Path) -> None:
        super().save(directory)
        content = json.dumps({"temperature": self.temperature}) + "\n"
        (directory / "temperature.json").write_text(content, encoding="utf-8")

    def load(self, directory: Path) -> None:
        super().load(directory)
        self.temperature = json.loads((directory / "temperature.json").read_text(encoding="utf-8"))["temperature"]

    @property
    def network(self) -> Network | None:
        """The inner simulator's network: what is asked of its latents is asked at the temperature."""
        return self._member().network if self.members else None

    @property
    def columns(self) -> Sequence[int]:
        """The columns of parameters that condition the network."""
        return self._member().columns

    def _member(self) -> NeuralSimulator:
        return cast(NeuralSimulator, self.fitted()[0])

    def _network(self) -> Network:
        network = self._member().network
        assert network is not None
        return network

    def _space(self) -> TemperedSpace:
        return cast(TemperedSpace, self._network().model.space)


def least(function: Callable[[float], float], low: float, high: float, width: float) -> float:
    """The place of a minimum of a function in [low, high], to within `width`, by golden sections.

    The function must have a single minimum there. Kiefer 1953, doi 10.1090/S0002-9939-1953-0055639-3.
    """
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > width:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2
