"""Parameters of CGNE. Defaults fit a laptop; each description ends with the reference's value."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from nsbench.neural.params import TrainingParams
from nsbench.neural.schedules import Decay, Ramp


class CGNEParams(TrainingParams):
    """Sizes, losses and schedules of CGNE (arXiv 2405.16608). Fractions are of the budget."""

    width: int = Field(16, ge=4, le=512, multiple_of=4, description="w, channels at full resolution; 64")
    latent_channels: int = Field(8, ge=1, le=512, description="channels of z; 64")
    latent_halvings: Literal[2, 3] = Field(2, description="z is at a quarter (2) or an eighth of the resolution; 3")
    encoder_entry: Literal["pool", "unshuffle"] = Field(
        "unshuffle", description='how the encoders halve the resolution first: "unshuffle" keeps all sites; "pool"'
    )
    latent_width: int = Field(16, ge=4, le=512, description="channels in the embedding of z; 64")
    latent_blocks: int = Field(4, ge=1, le=16, description="residual blocks that embed z; 4")
    embedding: int = Field(16, ge=1, le=512, description="channels that embed y; 16")
    embedding_width: int = Field(64, ge=1, le=4096, description="hidden units of that embedding; 64")
    norm_groups: int = Field(32, ge=1, le=512, description="groups of the group norm, at most; 32")

    conditional_prior: bool = Field(True, description="p(z | x, y) is learned; false: N(0, 1). true")
    condition_decoder: bool = Field(True, description="the decoder sees the embedded y beside x; false")
    frozen_state: bool = Field(True, description="attached sites stay attached; false: sites are sampled anew. true")

    attached_weight: float = Field(0.1, ge=0, description="weight of the error on attached sites; 0.1")
    kl_weight: float = Field(0.5, ge=0, description="β; 1")
    kl_annealing: float = Field(0.9, ge=0, le=1, description="β grows linearly over that fraction; 0.16")
    kl_mean: Literal["sites", "latents"] = Field(
        "sites", description='the KL is a mean over sites (with the error: the ELBO a site) or latents; "latents"'
    )
    free_bits: float = Field(0.0, ge=0, description="nats that each latent is free of charge; 0")
    auxiliary_weight: float = Field(0.1, ge=0, description="weight of the regression of y from z; 0: none. 1")
    auxiliary_width: int = Field(128, ge=1, le=4096, description="hidden units of that regressor; 128")
    decoder_dropout: Ramp | None = Field(
        Ramp(first=1.0, last=0.05, begin=0.03, end=0.08),
        description="probability that the decoder sees zeros instead of x; null: none. 1 until 0.1, to 0.1 at 0.19",
    )
    unroll: int = Field(1, ge=1, le=1000, description="sequences are unrolled for 1 to that many frames; 30")
    unroll_mask: Literal["truth", "guided"] = Field(
        "guided",
        description='the state by which sites of an unroll are attached, the true or the model\'s own; "truth"',
    )
    unroll_from: float = Field(0.0, ge=0, le=1, description="sequences are single steps until that fraction; 0")

    batch: int = Field(16, ge=1, le=65536, description="sequences in an optimizer step; 64")
    accumulate: bool = Field(True, description="one optimizer step after a whole unroll, not after each frame; true")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="its peak; 1e-3")
    weight_decay: float = Field(0.01, ge=0, le=1, description="of AdamW; 0.01")
    warmup: float = Field(0.02, ge=0, lt=1, description="linear warm-up over that fraction; 0")
    decay: Decay = Field("cosine", description='"constant", or half a "cosine" to 0; "constant"')
    start_every: int = Field(1, ge=1, le=1_000_000, description="sequences begin at every so-many-th frame; 29")
    clip: float | None = Field(0.25, gt=0, description="the gradient's norm is clipped to it; 0.25")
    clip_after: Literal["unroll", "frame"] = Field("unroll", description='when, in an unroll; "frame"')
    average_from: float | None = Field(0.8, ge=0, le=1, description="weights are averaged from there; null: never. 0.8")
    average_decay: float | None = Field(0.99, gt=0, lt=1, description="of a moving average; null: a plain mean. null")
    average_every: float | None = Field(
        None, gt=0, le=1, description="weights join the average once in that fraction; null: after each step. 0.01"
    )
    average_learning_rate: float | None = Field(None, gt=0, le=1, description="while averaging; null: as before. 0.01")
    average_annealing: float = Field(0.0, ge=0, le=1, description="the rate goes there over that fraction; 0.1")
    condition: Literal["varying", "all"] = Field("varying", description='parameters that y holds; "all"')
    condition_power: float | Literal["likelihood"] | None = Field(
        None, description='λ of their Box-Cox transformation, that of "likelihood"; null: none. 3.83'
    )

    @field_validator("decoder_dropout")
    @classmethod
    def _probability(cls, value: Ramp | None) -> Ramp | None:
        if value is not None and not (0 <= value.first <= 1 and 0 <= value.last <= 1):
            raise ValueError(f"a probability must be in [0, 1], got {value.first:g} to {value.last:g}")
        return value
