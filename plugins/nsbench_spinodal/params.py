"""Parameters of the dataset and the simulator of spinodal decomposition."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from nsbench.components.component import Params

LONGEST_STEP = 0.1
"""The longest time step: with the cube frozen during a step, every uniform |φ| < 1.3 is then stable."""

LARGEST_AMPLITUDE = 0.5
"""The largest standard deviation of φ at the start: the tails of larger ones run away in the first steps. At this one
none of 4,096 starts of 32 × 32 sites did for any of eight means from 0 to 1, at ε = 0.2."""

MOST_NOISE = 0.2
"""The strongest noise ε up to which that has been tried."""


def fault(size: int, time_step: float, noise: float) -> str | None:
    """What makes fields of N × N sites impossible to compute, in words; None where nothing does."""
    if size % 8 or not 8 <= size <= 128:
        return f"size must be a multiple of 8 in [8, 128], got {size}"
    if not 0 < time_step <= LONGEST_STEP * (1 + 1e-9):
        return f"the time step must be in (0, {LONGEST_STEP}], beyond which it is unstable, got {time_step:g}"
    if noise > MOST_NOISE:
        return f"noise must be at most {MOST_NOISE}, beyond which time steps are unstable, got {noise:g}"
    return None


class TestCases(Params):
    """The cases of the test split. cases: distinct starts and parameters; repeats: trajectories from each."""

    cases: int = Field(64, ge=1)
    repeats: int = Field(8, ge=1)


class DatasetParams(Params):
    """Mixtures that separate by the equation of Cahn, Hilliard and Cook on N × N periodic sites, a unit length apart.

    size         N, sites along an axis.
    mean         range of c, the mean of φ, drawn uniformly.
    noise        range of ε, the strength of the noise (a temperature), drawn uniformly.
    amplitude    range of the standard deviation of φ at the start, drawn uniformly.
    length       range of the correlation length ℓ of the start, in sites: its covariance falls as exp(−r²/2ℓ²).
    tick         the time between two states of a record.
    steps        time steps in a tick.
    ticks        states of a record, after its start.
    train, val   trajectories, each with a start and parameters of its own.
    """

    size: int = 32
    mean: tuple[float, float] = (-0.4, 0.4)
    noise: tuple[float, float] = (0.01, 0.1)
    amplitude: tuple[float, float] = (0.2, 0.5)
    length: tuple[float, float] = (1.0, 4.0)
    tick: float = Field(2.0, gt=0)
    steps: int = Field(20, ge=1)
    ticks: int = Field(20, ge=1)
    train: int = Field(1024, ge=1)
    val: int = Field(128, ge=1)
    test: TestCases = TestCases()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        bounds = {
            "mean": (-1.0, 1.0),
            "noise": (0.0, MOST_NOISE),
            "amplitude": (0.0, LARGEST_AMPLITUDE),
            "length": (0.5, self.size / 4),
        }
        for name, (least, most) in bounds.items():
            low, high = getattr(self, name)
            if not least <= low < high <= most:
                raise ValueError(
                    f"{name} must be [low, high] with {least:g} <= low < high <= {most:g}, got [{low:g}, {high:g}]"
                )
        wrong = fault(self.size, self.tick / self.steps, 0.0)
        if wrong:
            raise ValueError(wrong)
        return self


class SimulatorParams(Params):
    """The ground truth as a simulator. noise: None keeps each case's own ε; 0 takes it away."""

    noise: float | None = Field(None, ge=0, le=MOST_NOISE)
