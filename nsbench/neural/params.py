"""The parameters of training that every neural simulator has. Imports no torch: suites are validated by it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nsbench.components.component import Params
from nsbench.neural.schedules import Decay


class TrainingParams(Params):
    """The settings by which a network is trained. Fractions are of the budget, so that any budget works.

    batch               sequences in an optimizer step (transitions, where nothing is unrolled).
    start_every         sequences begin at every so-many-th frame of a trajectory, the first among them.
    accumulate          gradients add up over an unroll before one optimizer step; false: one after each frame.
    optimizer           "adamw" decouples the weight decay; "adam" adds it to the gradient; "muon" orthogonalises the
                        steps of convolutions, and is AdamW for other weights.
    learning_rate       its peak.
    warmup, decay       linear warm-up over that fraction; then constant, or half a cosine to 0.
    clip                the gradient's norm is clipped to it; null: not clipped.
    clip_after          gradients that add up over an unroll are clipped once, or after each "frame" has added its own.
    average_from        weights are averaged from that fraction on, and the average is kept; null: never.
    average_decay       of an exponential moving average; null: all weigh the same (SWA).
    average_every       weights join the average once in that fraction; null: after each step.
    average_learning_rate  the learning rate while averaging; null: as before.
    average_annealing   the fraction over which the rate goes there, by half a cosine, in steps of `average_every`.
    condition           "varying": the parameters that differ between trajectories; "all": all of them.
    condition_power     λ of Box and Cox's transformation of these, before they are standardised; "likelihood": that by
                        which the training set's are most like normal ones; null: they are not transformed.
    """

    batch: int = Field(64, ge=1, le=65536)
    start_every: int = Field(1, ge=1, le=1_000_000)
    accumulate: bool = True
    optimizer: Literal["adam", "adamw", "muon"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0, le=1)
    weight_decay: float = Field(0.01, ge=0, le=1)
    warmup: float = Field(0.0, ge=0, lt=1)
    decay: Decay = "constant"
    clip: float | None = Field(None, gt=0)
    clip_after: Literal["unroll", "frame"] = "unroll"
    average_from: float | None = Field(None, ge=0, le=1)
    average_decay: float | None = Field(None, gt=0, lt=1)
    average_every: float | None = Field(None, gt=0, le=1)
    average_learning_rate: float | None = Field(None, gt=0, le=1)
    average_annealing: float = Field(0.0, ge=0, le=1)
    condition: Literal["varying", "all"] = "varying"
    condition_power: float | Literal["likelihood"] | None = None


class ShortFitParams(TrainingParams):
    """The parameters of networks that learn something in a few minutes on one core. Fractions are of the budget."""

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


class UNetParams(ShortFitParams):
    """The sizes of the shared UNet (nsbench/neural/networks/unet.py), and how it is trained."""

    width: int = Field(16, ge=4, le=512, multiple_of=4, description="w, channels at full resolution")
    norm_groups: int = Field(32, ge=1, le=512, description="groups of the group norm, at most")
