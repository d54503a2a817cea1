"""Parameters of PNS. Defaults fit a laptop; each description ends with the reference's value."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from nsbench.neural.params import TrainingParams
from nsbench.neural.schedules import Decay


class PNSParams(TrainingParams):
    """Sizes, losses and schedules of PNS (arXiv 2305.14286). Fractions are of the budget."""

    architecture: Literal["pooled", "reference"] = Field(
        "pooled",
        description='"pooled": max-pools, `width` channels throughout; "reference": strided convolutions, attention, '
        'two and four times the width. "reference"',
    )
    width: int = Field(12, ge=2, le=512, description="channels of the embedding and of all maps; 128")
    levels: int = Field(4, ge=1, le=8, description="resolutions of the UNet, each half the one before; 4")
    blocks: int = Field(2, ge=1, le=8, description="residual blocks at each of them, down and up; 2")
    latents: int = Field(16, ge=1, le=4096, description="length of the vector z; 64")
    encoder_layers: int = Field(3, ge=1, le=6, description="convolutions of prior and posterior; 4")
    decoder_layers: int = Field(3, ge=0, le=16, description="3×3 convolutions after the wide one; 3")
    decoder_kernel: int = Field(11, ge=1, le=31, description="side of the wide convolution's kernel, odd; 11")
    norm_groups: int = Field(32, ge=1, le=512, description="groups of the group norm of pooled, at most; null")
    frozen_state: bool = Field(True, description="attached sites stay attached; false: sites are sampled anew. true")

    kl_weight: float = Field(1.0, ge=0, description="β; 1")
    kl_annealing: float = Field(0.125, ge=0, le=1, description="β grows linearly over that fraction; 0.125")
    free_bits: float = Field(0.1, ge=0, description="nats that each latent is free of charge; 0.1")
    unroll_from: float = Field(0.7, ge=0, le=1, description="sequences are single steps until there; 0.28")
    unroll_every: float = Field(0.056, gt=0, le=1, description="then one step longer after each such fraction; 0.056")
    unroll: int | None = Field(2, ge=1, le=1000, description="longest; null: a third of a trajectory. null")

    reduction: Literal["mean", "sum"] = Field("mean", description='of the loss over the batch; "sum"')
    batch: int = Field(16, ge=1, le=65536, description="sequences in an optimizer step; 32")
    accumulate: bool = Field(True, description="one optimizer step after a whole unroll, not after each frame; true")
    optimizer: Literal["adam", "adamw", "muon"] = Field("adam", description='"adam"')
    learning_rate: float = Field(2e-3, gt=0, le=1, description="its peak; 1e-4")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="added to the gradient; 1e-4")
    warmup: float = Field(0.03, ge=0, lt=1, description="linear warm-up over that fraction; 0")
    decay: Decay = Field("cosine", description='"constant", or half a "cosine" to 0; "constant"')
    clip: float | None = Field(10.0, gt=0, description="the gradient's norm is clipped to it; null")
    average_from: float | None = Field(0.8, ge=0, le=1, description="weights are averaged from there; null (never)")
    average_decay: float | None = Field(0.99, gt=0, lt=1, description="of a moving average; null: a plain mean; null")
    condition: Literal["varying", "all"] = Field("varying", description='parameters that y holds; "all"')

    @field_validator("decoder_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"a kernel's side must be odd, got {value}")
        return value
