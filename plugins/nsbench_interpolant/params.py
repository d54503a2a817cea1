"""Parameters of the interpolant. Imports no torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from nsbench.neural.params import UNetParams


class InterpolantParams(UNetParams):
    """The path, how it is followed, and the network that learns its drift. Fractions are of the budget.

    path         "linear" starts at x_t with a noise that shrinks; "bridge" at x_t itself, with a noise that grows first
                 (Chen et al. 2024, arXiv 2403.13724). See ``nsbench_interpolant.paths``.
    noise        its size ε, in the units of relaxed states (``nsbench.neural.states.relaxed``).
    evaluations  of the network a frame; one gives the mean of the next state, without chance.
    sampler      "ode": what is known of the noise is kept; "sde": it is partly drawn anew in each evaluation.
    """

    sampling: ClassVar[frozenset[str]] = frozenset({"evaluations", "sampler"})

    path: Literal["linear", "bridge"] = "linear"
    noise: float = Field(1.0, gt=0, le=100, description="ε, in units of relaxed states")
    evaluations: int = Field(8, ge=1, le=1000, description="of the network a frame; changes no fit")
    sampler: Literal["ode", "sde"] = Field("ode", description="how the path is followed; changes no fit")
    embedding: int = Field(32, ge=1, le=512, description="numbers that modulate the network: of the time and y")
