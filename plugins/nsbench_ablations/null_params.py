"""Parameters of the null models. Imports no torch."""

from __future__ import annotations

from pydantic import Field

from nsbench.components.component import Params
from nsbench.neural.params import ShortFitParams


class FrozenNeighbourParams(Params):
    """The size of the table."""

    bins: int = Field(16, ge=1, le=1024, description="equal bins of the conditioning parameter's range")


class StochasticNCAParams(ShortFitParams):
    """Sizes of the local rule."""

    channels: int = Field(16, ge=1, le=512, description="numbers that a site remembers within a step")
    hidden: int = Field(32, ge=1, le=4096, description="hidden units of the rule")
    updates: int = Field(8, ge=1, le=256, description="times that the rule is applied: how far a site sees")
