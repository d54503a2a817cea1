"""Parameters of the null models. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nsbench.components.component import Params
from nsbench.neural.params import TrainingParams
from nsbench.neural.schedules import Decay


class FrozenNeighbourParams(Params):
    """The size of the table."""

    bins: int = Field(16, ge=1, le=1024, description="equal bins of the conditioning parameter's range")


class FactorisedParams(TrainingParams):
    """The parameters of networks without latents, which are trained as CGNE is. Fractions are of the budget."""

    embedding: int = Field(16, ge=1, le=512, description="channels that embed y")
    embedding_width: int = Field(64, ge=1, le=4096, description="hidden units of that embedding")
    batch: int = Field(16, ge=1, le=65536, description="transitions in an optimizer step")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="its peak")
    weight_decay: float = Field(0.01, ge=0, le=1, description="of AdamW")
    warmup: float = Field(0.02, ge=0, lt=1, description="linear warm-up over that fraction")
    decay: Decay = Field("cosine", description='"constant", or half a "cosine" to 0')
    clip: float | None = Field(0.25, gt=0, description="the gradient's norm is clipped to it")
    average_from: float | None = Field(0.8, ge=0, le=1, description="weights are averaged from there; null: never")
    average_decay: float | None = Field(0.99, gt=0, lt=1, description="of a moving average; null: a plain mean")
    condition: Literal["varying", "all"] = Field("varying", description="parameters that y holds")


class FactorisedUNetParams(FactorisedParams):
    """Sizes of CGNE's decoder."""

    width: int = Field(16, ge=4, le=512, multiple_of=4, description="w, channels at full resolution")
    norm_groups: int = Field(32, ge=1, le=512, description="groups of the group norm, at most")


class StochasticNCAParams(FactorisedParams):
    """Sizes of the local rule."""

    channels: int = Field(16, ge=1, le=512, description="numbers that a site remembers within a step")
    hidden: int = Field(32, ge=1, le=4096, description="hidden units of the rule")
    updates: int = Field(8, ge=1, le=256, description="times that the rule is applied: how far a site sees")
