"""Parameters of the dendrites' dataset and simulator."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nsbench.components.component import Params
from nsbench_dendrite.law import longest_step, strongest_anisotropy

MOST_NUCLEI = 8


class TestCases(Params):
    """The cases of the test split: so many starts, each with parameters of its own and `repeats` futures."""

    cases: int = Field(64, ge=1)
    repeats: int = Field(8, ge=1)


class DatasetParams(Params):
    """Dendrites of Kobayashi's phase field in a square box with insulated walls.

    size         shown sites along an axis, the means of `block` × `block` sites of the grid that is solved.
    block        sites of that grid along the side of a shown one.
    spacing      Δx of that grid, a length; Kobayashi's ε̄ is 0.01.
    time_step    Δt, in units in which heat diffuses with 1; Kobayashi's τ is 0.0003.
    steps        time steps of a tick of the clock.
    order        j, the number of directions in which crystals like to grow.
    latent       range of K, the latent heat in units of the undercooling of the melt, drawn uniformly.
    anisotropy   range of δ, drawn uniformly.
    angle        range of θ0 in radians, drawn uniformly.
    noise        range of a, drawn uniformly.
    nuclei       range of the number of nuclei, drawn uniformly; their centres are uniform in the box's middle half.
    radius       range of the radius of a case's nuclei, a length, drawn uniformly.
    lead         ticks from the nuclei to the first frame.
    ticks        ticks from the first frame to the last.
    train, val   trajectories, each with a start and parameters of its own.
    """

    size: int = Field(32, ge=8, le=1024)
    block: int = Field(3, ge=1, le=16)
    spacing: float = Field(0.02, gt=0, le=0.03)
    time_step: float = Field(0.0000625, gt=0)
    steps: int = Field(64, ge=1)
    order: Literal[4, 6] = 4
    latent: tuple[float, float] = (0.8, 2.0)
    anisotropy: tuple[float, float] = (0.01, 0.05)
    angle: tuple[float, float] = (0.0, 0.0)
    noise: tuple[float, float] = (0.2, 0.8)
    nuclei: tuple[int, int] = (1, 2)
    radius: tuple[float, float] = (0.1, 0.2)
    lead: int = Field(4, ge=0)
    ticks: int = Field(16, ge=1)
    train: int = Field(2000, ge=1)
    val: int = Field(128, ge=1)
    test: TestCases = TestCases()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._require_range("latent", 0, 4, "beyond which hardly anything freezes before the melt is warm")
        self._require_range("noise", 0, 1, "the size of what it is added to")
        self._require_range("angle", -3.15, 3.15, "a turn")
        bound = strongest_anisotropy(self.order)
        self._require_range("anisotropy", 0, bound, f"1/(j² − 1), from which on interfaces of order {self.order} fold")
        if self.anisotropy[1] >= bound:
            raise ValueError(f"anisotropy must be below 1/(j² − 1) = {bound:.4g}, got {self.anisotropy[1]:g}")
        few, many = self.nuclei
        if not 1 <= few <= many <= MOST_NUCLEI:
            raise ValueError(f"nuclei must be [low, high] with 1 <= low <= high <= {MOST_NUCLEI}, got [{few}, {many}]")
        side = self.size * self.block * self.spacing
        self._require_range("radius", 2 * self.spacing, side / 4, "a quarter of the box, whose middle half has centres")
        longest = longest_step(self.spacing, self.order, self.anisotropy[1], self.noise[1], self.latent[1])
        if self.time_step > longest:
            raise ValueError(
                f"time_step must be at most {longest:.4g}, beyond which steps at a spacing of {self.spacing:g} are "
                f"unstable, got {self.time_step:g}"
            )
        if sum(low < high for low, high in (self.latent, self.anisotropy, self.angle, self.noise)) < 2:
            raise ValueError("at least two of latent, anisotropy, angle and noise must have ranges with low < high")
        return self

    def _require_range(self, name: str, lowest: float, highest: float, why: str) -> None:
        low, high = getattr(self, name)
        if not lowest <= low <= high <= highest:
            raise ValueError(
                f"{name} must be [low, high] with {lowest:g} <= low <= high <= {highest:.4g}, {why}, got "
                f"[{low:g}, {high:g}]"
            )


class SimulatorParams(Params):
    """The ground truth as a simulator. noise: None keeps each case's own; 0 takes the randomness away."""

    noise: float | None = Field(None, ge=0, le=1)
