"""Parameters of the LCA's dataset and simulator."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nsbench.components.component import Params

Law = Literal["alpha", "beta", "gamma", "theta", "kappa", "mu", "rho", "sigma"]
"""The parameters of the rules."""


class TestCases(Params):
    """The cases of the test split. parameters: distinct values of ρ; repeats: trajectories grown at each."""

    parameters: int = Field(64, ge=1)
    repeats: int = Field(8, ge=1)


class DatasetParams(Params):
    """Snow crystals grown by the LCA; the defaults are the paper's rules at laptop size.

    size         N, sites from the centre to the rim.
    symmetry     "quadrant" grows one 120° sector between mirrors, N × N sites; "none" the whole crystal on
                 2N × 2N sites, whose noise may break the symmetry.
    sigma        relative noise of the vapour in each step.
    rho          range of the vapour density, drawn uniformly.
    train, val   trajectories, each with a ρ of its own unless `repeats` are asked for.
    repeats      trajectories that share one ρ in the training and validation splits.
    """

    size: int = Field(32, ge=8, le=4096)
    symmetry: Literal["quadrant", "none"] = "quadrant"
    sigma: float = Field(0.01, ge=0, lt=1)
    rho: tuple[float, float] = (0.35, 0.64)
    alpha: float = Field(0.14, ge=0)
    beta: float = Field(1.1, ge=0)
    gamma: float = Field(7e-5, ge=0, lt=1)
    theta: float = Field(8.5e-3, ge=0)
    kappa: float = Field(7e-3, ge=0, lt=1)
    mu: float = Field(4.8e-2, ge=0, lt=1)
    stop_margin: int = Field(5, ge=2)
    max_steps: int = Field(10_000, ge=1)
    train: int = Field(3000, ge=1)
    val: int = Field(256, ge=1)
    repeats: int = Field(1, ge=1)
    test: TestCases = TestCases()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.rho
        if not 0 < low < high:
            raise ValueError(f"rho must be [low, high] with 0 < low < high, got [{low:g}, {high:g}]")
        if self.stop_margin >= self.size - 1:
            raise ValueError(f"stop_margin must be < size - 1 = {self.size - 1}, got {self.stop_margin}")
        for split in ("train", "val"):
            if getattr(self, split) % self.repeats:
                raise ValueError(f"{split} must be a multiple of repeats = {self.repeats}")
        return self


class SimulatorParams(Params):
    """The ground truth as a simulator. sigma: None keeps each case's own noise; 0 takes it away."""

    sigma: float | None = Field(None, ge=0, lt=1)
