"""Schedules of training, as functions of the fraction of the budget that is spent."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from nsbench.components.component import Params

Decay = Literal["constant", "cosine"]


class Ramp(Params):
    """A value that is `first` until `begin`, then linear, and `last` from `end` on.

    begin, end: fractions of the budget.
    """

    first: float
    last: float
    begin: float = Field(0.0, ge=0, le=1)
    end: float = Field(1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.begin > self.end:
            raise ValueError(f"begin must be <= end, got {self.begin:g} > {self.end:g}")
        return self

    def at(self, fraction: float) -> float:
        """The value when that fraction of the budget is spent."""
        if fraction >= self.end:
            return self.last
        if fraction <= self.begin:
            return self.first
        return self.first + (self.last - self.first) * (fraction - self.begin) / (self.end - self.begin)


def linear_annealing(fraction: float, length: float) -> float:
    """A factor that is 0 at the start and 1 once `length` of the budget is spent; 1 throughout for length 0."""
    return 1.0 if length <= 0 else min(1.0, fraction / length)


def learning_rate_factor(fraction: float, warmup: float, decay: Decay) -> float:
    """The learning rate as a multiple of its peak: a linear warm-up, then constant or half a cosine to 0."""
    if fraction < warmup:
        return max(fraction / warmup, 1e-3)
    if decay == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (fraction - warmup) / (1 - warmup)))
