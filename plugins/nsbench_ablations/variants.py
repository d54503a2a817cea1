"""Variants of CGNE that its own parameters, or the way its sites are decoded, make."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import BaseModel

from nsbench.trajectories.base import Trajectories
from nsbench_ablations import params as parameters
from nsbench_ablations.drawing import DrawnSites
from nsbench_ablations.params import Fixed
from nsbench_ablations.stepwise import frame_by_frame
from nsbench_cgne.params import CGNEParams
from nsbench_cgne.simulator import CGNE


class Variant(CGNE):
    """CGNE with some parameters fixed. It is given the others, and becomes a CGNE of all of them."""

    fixed: ClassVar[Fixed] = {}

    def __init__(self, params: BaseModel) -> None:
        super().__init__(CGNEParams.model_validate(params.model_dump() | self.fixed))

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        if self.params.frozen_state:
            return super().rollout(start, steps, rng)
        return frame_by_frame(super().rollout, start, steps, rng)


class NoDropout(Variant):
    """The decoder always sees x: nothing forces it to listen to z."""

    fixed = parameters.NO_DROPOUT


class StandardSampling(Variant):
    """What is decoded replaces the state: attached sites may melt, and the likelihood goes over all sites."""

    fixed = parameters.STANDARD_SAMPLING


class UnconditionalPrior(Variant):
    """z ~ N(0, 1), whatever x and y."""

    fixed = parameters.UNCONDITIONAL_PRIOR


class NoRegressor(Variant):
    """No network regresses y from z."""

    fixed = parameters.NO_REGRESSOR


class NoAnnealing(Variant):
    """The KL weighs β from the first step."""

    fixed = parameters.NO_ANNEALING


class NoUnrolling(Variant):
    """Trained on single steps from true states."""

    fixed = parameters.NO_UNROLLING


class BernoulliSampling(DrawnSites, Variant):
    """Each site is drawn with its probability given z, instead of taking its likelier state."""
