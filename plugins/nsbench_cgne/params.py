"""Parameters of CGNE; the defaults are those of its authors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from nsbench.neural.params import TrainingParams
from nsbench.neural.schedules import Decay, Ramp


class CGNEParams(TrainingParams):
    """Sizes, losses and schedules of CGNE, as in arXiv 2405.16608. Fractions are of the budget."""

    width: int = Field(64, ge=4, le=512, multiple_of=4, description="w, channels at full resolution")
    latent_channels: int = Field(64, ge=1, le=512, description="channels of z")
    latent_halvings: Literal[2, 3] = Field(3, description="z is at a quarter (2) or an eighth of the resolution")
    encoder_entry: Literal["pool", "unshuffle"] = Field(
        "pool", description='how the encoders halve the resolution first: "unshuffle" keeps all sites'
    )
    latent_width: int = Field(64, ge=4, le=512, description="channels in the embedding of z")
    latent_blocks: int = Field(4, ge=1, le=16, description="residual blocks that embed z")
    embedding: int = Field(16, ge=1, le=512, description="channels that embed y")
    embedding_width: int = Field(64, ge=1, le=4096, description="hidden units of that embedding")
    norm_groups: int = Field(32, ge=1, le=512, description="groups of the group norm, at most")

    conditional_prior: bool = Field(True, description="p(z | x, y) is learned; false: N(0, 1)")
    condition_decoder: bool = Field(False, description="the decoder sees the embedded y beside x")
    frozen_state: bool = Field(True, description="attached sites stay attached; false: sites are sampled anew")

    attached_weight: float = Field(0.1, ge=0, description="weight of the error on attached sites")
    kl_weight: float = Field(1.0, ge=0, description="β")
    kl_annealing: float = Field(0.16, ge=0, le=1, description="β grows linearly over that fraction")
    kl_mean: Literal["sites", "latents"] = Field(
        "latents", description="the KL is a mean over sites (with the error: the ELBO a site) or latents"
    )
    free_bits: float = Field(0.0, ge=0, description="nats that each latent is free of charge")
    auxiliary_weight: float = Field(1.0, ge=0, description="weight of the regression of y from z; 0: none")
    auxiliary_width: int = Field(128, ge=1, le=4096, description="hidden units of that regressor")
    decoder_dropout: Ramp | None = Field(
        Ramp(first=1.0, last=0.1, begin=0.1, end=0.19),
        description="probability that the decoder sees zeros instead of x; null: none",
    )
    unroll: int = Field(30, ge=1, le=1000, description="sequences are unrolled for 1 to that many frames")
    unroll_mask: Literal["truth", "guided"] = Field(
        "truth",
        description="the state by which sites of an unroll are attached, the true or the model's own",
    )
    unroll_from: float = Field(0.0, ge=0, le=1, description="sequences are single steps until that fraction")

    batch: int = Field(64, ge=1, le=65536, description="sequences in an optimizer step")
    accumulate: bool = Field(True, description="one optimizer step after a whole unroll, not after each frame")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="its peak")
    weight_decay: float = Field(0.01, ge=0, le=1, description="of AdamW")
    warmup: float = Field(0.0, ge=0, lt=1, description="linear warm-up over that fraction")
    decay: Decay = Field("constant", description='"constant", or half a "cosine" to 0')
    start_every: int = Field(29, ge=1, le=1_000_000, description="sequences begin at every so-many-th frame")
    clip: float | None = Field(0.25, gt=0, description="the gradient's norm is clipped to it")
    clip_after: Literal["unroll", "frame"] = Field("frame", description="when, in an unroll")
    average_from: float | None = Field(0.8, ge=0, le=1, description="weights are averaged from there; null: never")
    average_decay: float | None = Field(None, gt=0, lt=1, description="of a moving average; null: a plain mean")
    average_every: float | None = Field(
        0.01, gt=0, le=1, description="weights join the average once in that fraction; null: after each step"
    )
    average_learning_rate: float | None = Field(0.01, gt=0, le=1, description="while averaging; null: as before")
    average_annealing: float = Field(0.1, ge=0, le=1, description="the rate goes there over that fraction")
    condition: Literal["varying", "all"] = Field("all", description="parameters that y holds")
    condition_power: float | Literal["likelihood"] | None = Field(
        "likelihood", description='λ of their Box-Cox transformation, that of "likelihood"; null: none'
    )

    @field_validator("decoder_dropout")
    @classmethod
    def _probability(cls, value: Ramp | None) -> Ramp | None:
        if value is not None and not (0 <= value.first <= 1 and 0 <= value.last <= 1):
            raise ValueError(f"a probability must be in [0, 1], got {value.first:g} to {value.last:g}")
        return value
