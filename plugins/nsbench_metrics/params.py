"""Parameters of the metrics."""

from __future__ import annotations

from pydantic import Field

from nsbench.components import Params


class EWDParams(Params):
    """bins: equal bins of the conditioning parameter; resamples: bootstrap draws for the interval."""

    bins: int = Field(16, ge=1)
    resamples: int = Field(200, ge=10)


class ELBOParams(Params):
    """resamples: bootstrap draws for the interval."""

    resamples: int = Field(1000, ge=10)


class WallClockParams(Params):
    """Nothing to choose: what is measured, and how, is the protocol's."""
