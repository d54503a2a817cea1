"""Parameters of networks with injected noise. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nsbench.neural.params import UNetParams


class CRPSParams(UNetParams):
    """Sizes and training of the network, its noise and its score.

    noise: length of the vector of standard normal numbers, drawn once a frame and member, that modulates the network.
    noise_maps: maps of standard normal numbers, one a site, that stand beside the state; for noise that differs from
    site to site, which a vector cannot tell apart.
    members: next states drawn for each transition in training.
    fair: α of the almost fair score: 1 is fair, 0 the score of the members as they are.
    score: "crps", a mean over sites and channels; "energy", of the next state as one vector.
    """

    noise: int = Field(32, ge=1, le=4096)
    noise_maps: int = Field(0, ge=0, le=512)
    members: int = Field(2, ge=2, le=64)
    fair: float = Field(0.95, ge=0, le=1)
    score: Literal["crps", "energy"] = "crps"
