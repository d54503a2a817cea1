"""Parameters of the grains' dataset and simulator."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from nsbench.components.component import Params

LARGEST_EXPONENT = 80.0
"""The bound of (energy of a site's bonds) / T: its exponential and sums of eight such fit single precision."""


def coldest(diagonal: float) -> float:
    """The lowest temperature above 0 that the heat bath can do, T = Σ J / 80, of a site's eight couplings."""
    return (4 + 4 * diagonal) / LARGEST_EXPONENT


class TestCases(Params):
    """The cases of the test split: so many starts, each with parameters of its own and `repeats` futures."""

    cases: int = Field(64, ge=1)
    repeats: int = Field(8, ge=1)


class DatasetParams(Params):
    """Grains of the q-state Potts model on a periodic square lattice.

    size          N, sites along an axis; even, as the sublattices are every second row and column.
    labels        q.
    temperature   range of T in units of J, drawn uniformly.
    anisotropy    range of ε, drawn uniformly: J(1 + ε) couples neighbours in a row, J(1 − ε) those in a column.
    diagonal      coupling of diagonal neighbours, in units of J.
    points        range of the number of random points whose Voronoi cells are the first grains, drawn uniformly.
    start_sweeps  sweeps from those cells to the first frame.
    sweeps        sweeps from the first frame to the last.
    train, val    trajectories, each with a start and parameters of its own.
    """

    size: int = Field(32, ge=8, le=4096)
    labels: int = Field(12, ge=2, le=256)
    temperature: tuple[float, float] = (0.3, 0.7)
    anisotropy: tuple[float, float] = (-0.6, 0.6)
    diagonal: float = Field(0.5, ge=0, le=2)
    points: tuple[int, int] = (20, 300)
    start_sweeps: int = Field(2, ge=0)
    sweeps: int = Field(24, ge=1)
    train: int = Field(2000, ge=1)
    val: int = Field(128, ge=1)
    test: TestCases = TestCases()

    @field_validator("size")
    @classmethod
    def _even(cls, size: int) -> int:
        if size % 2:
            raise ValueError(f"size must be even, as every second row and column is updated at once, got {size}")
        return size

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.temperature
        bound = coldest(self.diagonal)
        if not bound <= low < high:
            raise ValueError(
                f"temperature must be [low, high] with (4 + 4·diagonal) / {LARGEST_EXPONENT:g} = {bound:g} <= low < "
                f"high, got [{low:g}, {high:g}]"
            )
        low, high = self.anisotropy
        if not -1 <= low < high <= 1:
            raise ValueError(
                f"anisotropy must be [low, high] with -1 <= low < high <= 1, beyond which a coupling is negative, got "
                f"[{low:g}, {high:g}]"
            )
        few, many = self.points
        if not 1 <= few <= many <= self.size**2:
            raise ValueError(
                f"points must be [low, high] with 1 <= low <= high <= size² = {self.size**2}, got [{few}, {many}]"
            )
        return self


class SimulatorParams(Params):
    """The ground truth as a simulator. temperature: None keeps each case's own; 0 takes the randomness away."""

    temperature: float | None = Field(None, ge=0)
