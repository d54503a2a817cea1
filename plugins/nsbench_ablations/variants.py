"""Variants of CGNE that differ in its parameters or in the way in which sites are decoded."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import BaseModel

from nsbench.neural.drawing import DrawnSites
from nsbench.trajectories.base import Trajectories
from nsbench_ablations import params as parameters
from nsbench_ablations.params import Fixed
from nsbench_ablations.stepwise import frame_by_frame
from nsbench_cgne.params import CGNEParams
from nsbench_cgne.simulator import CGNE


class Variant(CGNE):
    """CGNE with some parameters fixed: a suite gives the others."""

    fixed: ClassVar[Fixed] = {}

    def __init__(self, params: BaseModel) -> None:
        super().__init__(CGNEParams.model_validate(params.model_dump() | self.fixed))

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        if self.params.frozen_state:
            return super().rollout(start, steps, rng)
        return frame_by_frame(super().rollout, start, steps, rng)


class NoDropout(Variant):
    """CGNE whose decoder always sees x: nothing forces it to use z."""

    fixed = parameters.NO_DROPOUT


class StandardSampling(Variant):
    """CGNE whose decoded state replaces the present one: attached sites may melt, the likelihood covers all sites."""

    fixed = parameters.STANDARD_SAMPLING


class UnconditionalPrior(Variant):
    """CGNE whose prior is z ~ N(0, 1), whatever x and y."""

    fixed = parameters.UNCONDITIONAL_PRIOR


class NoRegressor(Variant):
    """CGNE without the network that regresses y from z."""

    fixed = parameters.NO_REGRESSOR


class NoAnnealing(Variant):
    """CGNE whose KL has the weight β from the first step."""

    fixed = parameters.NO_ANNEALING


class NoUnrolling(Variant):
    """CGNE trained on single steps from true states."""

    fixed = parameters.NO_UNROLLING


class BernoulliSampling(DrawnSites, Variant):
    """CGNE whose sites are drawn with their probability given z, instead of taking their likelier state."""
