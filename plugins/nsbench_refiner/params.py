"""Parameters of the refiner. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nsbench.neural.params import UNetParams


class RefinerParams(UNetParams):
    """The steps of refinement and the network. Fractions are of the budget.

    refinements     K, after the prediction: a frame takes K + 1 evaluations. 0: the prediction alone, without chance.
    smallest_noise  σ_K, in units of the training set's increments; step k has the noise σ_K^(k/K).
    backbone        "unet", or "fno" on lattices that are periodic on both axes: the Fourier neural operator.
    modes, layers   of the Fourier neural operator: wave numbers below `modes` along each axis, in so many blocks.
    """

    refinements: int = Field(3, ge=0, le=100, description="K, denoising steps a frame")
    smallest_noise: float = Field(0.01, gt=0, lt=1, description="σ_K, in units of increments")
    backbone: Literal["unet", "fno"] = "unet"
    modes: int = Field(8, ge=1, le=512, description='of "fno", wave numbers along an axis')
    layers: int = Field(4, ge=1, le=64, description='of "fno", Fourier blocks')
    embedding: int = Field(32, ge=1, le=512, description="numbers that modulate the network: of the noise and y")
