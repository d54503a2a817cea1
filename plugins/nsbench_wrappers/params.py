"""Parameters of simulators that are made of another one. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nsbench.components.wrapper import InnerFit, WrapperParams


class EnsembleParams(WrapperParams):
    """An ensemble's members, and what each may learn from.

    members: m, fits of the inner simulator. In replicate r they are its replicates r·m … r·m + m − 1.
    budget: of each member: the "whole" budget, so that the ensemble trains on m times as much as others; or a "share",
    1/m of it.
    """

    members: int = Field(4, ge=1, le=256)
    budget: Literal["whole", "share"] = "whole"

    def fits(self, replicate: int, transitions: int) -> list[InnerFit]:
        each = transitions if self.budget == "whole" else transitions // self.members
        return [InnerFit(replicate * self.members + k, each) for k in range(self.members)]


class TemperedParams(WrapperParams):
    """What a temperature is fitted on.

    transitions: random validation transitions.
    samples: importance samples of each, where the inner simulator's likelihood is a bound.
    largest: the largest temperature that is tried; the smallest is its inverse.
    """

    transitions: int = Field(256, ge=1, le=1_000_000)
    samples: int = Field(8, ge=1, le=4096)
    largest: float = Field(10.0, gt=1, le=1000)
