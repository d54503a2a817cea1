"""Parameters of the dataset and the simulator of growth in gusts of wind."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nsbench.components.component import Params

Noise = Literal["gusts", "sites", "none"]

HIGHEST_RATE, HIGHEST_STRENGTH = 10.0, 10.0
"""The bounds of λ and s. Beyond them every site beside a cluster attaches at once, whatever the wind."""


class TestCases(Params):
    """The cases of the test split. cases: distinct starts and parameters; repeats: trajectories grown from each."""

    cases: int = Field(64, ge=1)
    repeats: int = Field(8, ge=1)


class DatasetParams(Params):
    """Clusters that grow in gusts of wind; the defaults are those of the suite.

    size         sites along each side of the lattice.
    steps        steps that are recorded of each trajectory.
    rate         range of λ, the rate at which an attached neighbour makes a site attach, drawn uniformly.
    strength     range of s, by which the wind directs that rate, drawn uniformly; [0, 0] is growth without wind.
    clusters     range of the number of seeds of a start, drawn uniformly.
    age          range of the steps that a start grows without wind after each seed, drawn uniformly.
    train, val   trajectories, each with a start and parameters of its own.
    """

    size: int = Field(48, ge=12, le=4096)
    steps: int = Field(16, ge=1, le=100_000)
    rate: tuple[float, float] = (0.01, 0.05)
    strength: tuple[float, float] = (1.0, 4.0)
    clusters: tuple[int, int] = (1, 4)
    age: tuple[int, int] = (2, 6)
    train: int = Field(3000, ge=1)
    val: int = Field(256, ge=1)
    test: TestCases = TestCases()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.rate
        if not 0 < low < high <= HIGHEST_RATE:
            raise ValueError(
                f"rate must be [low, high] with 0 < low < high <= {HIGHEST_RATE:g}, got [{low:g}, {high:g}]"
            )
        low, high = self.strength
        if not 0 <= low <= high <= HIGHEST_STRENGTH:
            raise ValueError(
                f"strength must be [low, high] with 0 <= low <= high <= {HIGHEST_STRENGTH:g}, got [{low:g}, {high:g}]"
            )
        for name, least, most in (("clusters", 1, self.size), ("age", 0, self.size)):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(
                    f"{name} must be [low, high] with {least} <= low <= high <= size = {most}, got [{low}, {high}]"
                )
        return self


class SimulatorParams(Params):
    """The ground truth as a simulator.

    noise  "gusts"  the law: in each step one wind for all sites.
           "sites"  a wind for each site: every site attaches with the chance that it has under the law, and nothing
                    makes sites attach together. No model without latents is better.
           "none"   a site attaches in the step by which it would have with a chance of ½ or more.
    """

    noise: Noise = "gusts"
