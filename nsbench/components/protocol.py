"""The protocol: the rules by which every simulator of a suite is run, so that the comparison is fair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nsbench.components.component import Params

Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
Decode = Literal["mode", "sample"]
LikelihoodKind = Literal["exact", "elbo", "vlb"]

TRANSITIONS = 256
"""The test transitions on which bounds are evaluated by default: 5 % of the time of CGNE's fit at laptop size."""


def _ranges(holdout: dict[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    for name, ranges in holdout.items():
        if not ranges or any(low >= high for low, high in ranges):
            raise ValueError(f"holdout of {name} must be ranges [low, high] with low < high, got {ranges}")
    return holdout


Holdout = Annotated[dict[str, list[tuple[float, float]]], AfterValidator(_ranges)]
"""{parameter: ranges}, of which at least one holds a held-out case."""


class Bounds(Params):
    """Importance-weighted bounds L_K on the likelihood, all on the same test transitions; the largest K is the score.

    The transitions are a number and no time, so that scores do not depend on the machine. Exact likelihoods are of all
    test transitions, whatever is said here.
    """

    samples: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 16, 64], min_length=1, description="numbers of importance samples K"
    )
    transitions: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        TRANSITIONS, description='random test transitions, the same for all simulators; or "all"'
    )
    annealing: int = Field(
        0, ge=0, description="intermediate distributions of annealed importance sampling, in extras; 0: none"
    )
    annealed: int = Field(32, ge=1, description="of these transitions, random ones on which it is done")
    guided: int = Field(
        0, ge=0, description="longest unroll, in frames, of the bound that CGNE's authors publish; 0: not evaluated"
    )


class Protocol(Params):
    """The rules that make the comparison fair: they are the same for all simulators.

    decode: "both" makes two rows of each simulator whose rollouts depend on it, "name" and "name-drawn", from one fit.
    A likelihood is of the process that draws its sites, and stands in that row alone.

    holdout: {parameter: ranges}. Training and validation trajectories with a parameter in one of its ranges are taken
    away, so that the test cases in there ask what a simulator does where it has seen nothing; scores tell them apart.
    """

    stride: int = Field(10, ge=1, description="ticks of the domain's clock between frames")
    horizon: int = Field(64, ge=1, description="frames simulated at most")
    members: int = Field(1, ge=1, description="rollouts from each start state")
    decode: Decode | Literal["both"] = Field("both", description="each site's likelier state, a draw, or both in turn")
    batch: int = Field(64, ge=1, description="trajectories simulated together")
    last_stride: Literal["partial", "whole"] = Field(
        "partial", description="whole: growth is trained on without a final frame that follows sooner than the stride"
    )
    bounds: Bounds | None = Field(Bounds(), description="importance-weighted bounds; null: L_1 of all transitions")
    holdout: Holdout = Field({}, description="parameter: ranges taken out of training")


@dataclass(frozen=True)
class Conditions:
    """The conditions under which a simulator is run: they are the same for all simulators of a suite.

    device     "cpu" or "cuda".
    precision  of the network's arithmetic; scores are always accumulated in float64.
    decode     "mode": each site takes its likelier state, given the latent; "sample": it is drawn.
    """

    device: Device = "cpu"
    precision: Precision = "float32"
    decode: Decode = "mode"
