"""Parameters of the LCA's open starts."""

from __future__ import annotations

from typing import Self, get_args

from pydantic import Field, model_validator

from nsbench.components.component import Params
from nsbench_lca.params import Law

Range = tuple[float, float]

_BELOW_ONE = ("gamma", "kappa", "mu", "sigma")


class OpenStart(Params):
    """The first frames. All sites attached at a cluster's start have crystal mass 1; all others hold vapour alone.

    seeds   range of the number of seeds, both ends included.
    radius  seeds are distinct sites at most so many steps from the centre.
    fill    the probability of each of a seed's six neighbours to belong to the cluster too.
    after   range of the share of the way to the margin that a crystal has grown when its trajectory begins, drawn
            uniformly; 0 begins with the cluster.
    """

    seeds: tuple[int, int] = (1, 5)
    radius: int = Field(4, ge=0)
    fill: float = Field(0.5, ge=0, le=1)
    after: Range = (0.0, 0.0)

    @property
    def extent(self) -> int:
        """The steps from the centre that no cluster exceeds."""
        return self.radius + (self.fill > 0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        fewest, most = self.seeds
        room = 3 * self.radius * (self.radius + 1) + 1
        if not 1 <= fewest <= most <= room:
            raise ValueError(
                f"seeds must be [low, high] with 1 <= low <= high <= {room}, the sites within radius {self.radius}, "
                f"got [{fewest}, {most}]"
            )
        low, high = self.after
        if not 0 <= low <= high < 1:
            raise ValueError(f"after must be [low, high] with 0 <= low <= high < 1, got [{low:g}, {high:g}]")
        return self


class OpenTestCases(Params):
    """The cases of the test split.

    cases     starts, each with parameters and a history of its own.
    repeats   trajectories that go on from each, with other noise: one ensemble.
    held_out  the share of the cases that lie in the gaps of `holdout`; the others lie outside, as training does.
    """

    cases: int = Field(64, ge=1)
    repeats: int = Field(8, ge=1)
    held_out: float = Field(1.0, ge=0, le=1)


class OpenDatasetParams(Params):
    """Whole crystals from random clusters or in mid-growth; laws and starts differ by trajectory.

    size         N, sites from the centre to the rim; maps have 2N × 2N.
    stop_margin  growth ends when a site N − stop_margin steps from the centre attaches.
    alpha, …     each parameter of the rules: a number, or a range [low, high] that it is drawn from uniformly.
    start        the first frames.
    holdout      gaps: a range for each of some parameters that vary. In training and validation none of these is drawn
                 from its gap, in the held-out test cases each is.
    train, val   trajectories, each with a case of its own.
    """

    size: int = Field(24, ge=8, le=4096)
    stop_margin: int = Field(5, ge=2)
    alpha: float | Range = 0.14
    beta: float | Range = (1.05, 1.5)
    gamma: float | Range = 7e-5
    theta: float | Range = 8.5e-3
    kappa: float | Range = 7e-3
    mu: float | Range = 4.8e-2
    rho: float | Range = (0.35, 0.64)
    sigma: float | Range = (0.01, 0.05)
    start: OpenStart = OpenStart()
    holdout: dict[Law, Range] = Field(default_factory=dict)
    train: int = Field(3000, ge=1)
    val: int = Field(256, ge=1)
    test: OpenTestCases = OpenTestCases()

    def range(self, law: Law) -> Range:
        """The range of that parameter of the rules; both ends are equal where it is fixed."""
        value = getattr(self, law)
        return value if isinstance(value, tuple) else (value, value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for law in get_args(Law):
            self._check_law(law)
        for law, gap in self.holdout.items():
            self._check_gap(law, gap)
        bound = self.size - self.stop_margin
        if self.start.extent >= bound:
            raise ValueError(
                f"clusters reach up to {self.start.extent} steps from the centre; they must stay below "
                f"size - stop_margin = {bound}"
            )
        return self

    def _check_law(self, law: Law) -> None:
        low, high = self.range(law)
        if not 0 <= low <= high:
            raise ValueError(f"{law} must be a number or [low, high] with 0 <= low <= high, got [{low:g}, {high:g}]")
        if law in _BELOW_ONE and high >= 1:
            raise ValueError(f"{law} must be in [0, 1), got {high:g}")
        if law == "rho" and low == 0:
            raise ValueError("rho must be > 0, got 0: nothing grows without vapour")

    def _check_gap(self, law: Law, gap: Range) -> None:
        low, high = self.range(law)
        if not low <= gap[0] < gap[1] <= high or gap == (low, high):
            raise ValueError(
                f"the gap of {law} in holdout must be a part of its range [{low:g}, {high:g}], got "
                f"[{gap[0]:g}, {gap[1]:g}]"
            )
