"""Parameters of PNS; the defaults are those of its authors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from nsbench.neural.params import TrainingParams
from nsbench.neural.schedules import Decay


class PNSParams(TrainingParams):
    """Sizes, losses and schedules of PNS, as in arXiv 2305.14286. Fractions are of the budget."""

    architecture: Literal["pooled", "reference"] = Field(
        "reference",
        description='"pooled": max-pools, `width` channels throughout; "reference": strided convolutions, attention, '
        "two and four times the width",
    )
    width: int = Field(128, ge=2, le=512, description="channels of the embedding and of all maps")
    levels: int = Field(4, ge=1, le=8, description="resolutions of the UNet, each half the one before")
    blocks: int = Field(2, ge=1, le=8, description="residual blocks at each of them, down and up")
    latents: int = Field(64, ge=1, le=4096, description="length of the vector z")
    encoder_layers: int = Field(4, ge=1, le=6, description="convolutions of prior and posterior")
    decoder_layers: int = Field(3, ge=0, le=16, description="3×3 convolutions after the wide one")
    decoder_kernel: int = Field(11, ge=1, le=31, description="side of the wide convolution's kernel, odd")
    norm_groups: int = Field(32, ge=1, le=512, description="groups of the group norm of pooled, at most")
    frozen_state: bool = Field(True, description="attached sites stay attached; false: sites are sampled anew")

    kl_weight: float = Field(1.0, ge=0, description="β")
    kl_annealing: float = Field(0.125, ge=0, le=1, description="β grows linearly over that fraction")
    free_bits: float = Field(0.1, ge=0, description="nats that each latent is free of charge")
    unroll_from: float = Field(0.28, ge=0, le=1, description="sequences are single steps until there")
    unroll_every: float = Field(0.056, gt=0, le=1, description="then one step longer after each such fraction")
    unroll: int | None = Field(None, ge=1, le=1000, description="longest; null: a third of a trajectory")

    reduction: Literal["mean", "sum"] = Field("sum", description="of the loss over the batch")
    batch: int = Field(32, ge=1, le=65536, description="sequences in an optimizer step")
    accumulate: bool = Field(True, description="one optimizer step after a whole unroll, not after each frame")
    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    learning_rate: float = Field(1e-4, gt=0, le=1, description="its peak")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="added to the gradient")
    warmup: float = Field(0.0, ge=0, lt=1, description="linear warm-up over that fraction")
    decay: Decay = Field("constant", description='"constant", or half a "cosine" to 0')
    clip: float | None = Field(None, gt=0, description="the gradient's norm is clipped to it")
    average_from: float | None = Field(None, ge=0, le=1, description="weights are averaged from there; null: never")
    average_decay: float | None = Field(None, gt=0, lt=1, description="of a moving average; null: a plain mean")
    condition: Literal["varying", "all"] = Field("all", description="parameters that y holds")

    @field_validator("decoder_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"a kernel's side must be odd, got {value}")
        return value
