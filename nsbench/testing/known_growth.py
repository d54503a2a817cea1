"""A growth process whose law is known exactly: components are checked on it where no dataset is asked for.

One site is attached at the start. In each frame every unattached site beside the crystal attaches with
probability ρ, independently (Richardson's model in discrete time, Richardson 1973, doi 10.1017/S0305004100077288).
Lattice, the corner in which the crystal starts and stop rule are those of the snow crystals of arXiv 2405.16608.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.dataset import Dataset, Split
from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Lattice, Observable, Parameter
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.morphology import area, boundary, front

LATTICE: Lattice = "hexagonal-quadrant"


class GrowthParams(Params):
    """Parameters of Growth. size: sites along an edge; steps: frames at most; repeats: test trajectories of each ρ."""

    size: int = Field(16, ge=8)
    steps: int = Field(24, ge=1)
    train: int = Field(64, ge=1)
    val: int = Field(16, ge=1)
    test: int = Field(8, ge=1)
    repeats: int = Field(4, ge=1)


def grow(
    attached: NDArray[np.bool_], rho: NDArray[np.float64], steps: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Arrival maps int32[n, H, W] of growth from bool[n, H, W] with probabilities float64[n]."""
    arrival = np.where(attached, 0, -1).astype(np.int32)
    for t in range(1, steps + 1):
        new = front(arrival >= 0, LATTICE) & (rng.random(arrival.shape) < rho[:, None, None])
        arrival[new] = t
    return arrival


class Growth(Dataset):
    """Growth at ρ ~ U(0.15, 0.6), each training trajectory with a ρ of its own."""

    params: GrowthParams

    @property
    def domain(self) -> Domain:
        return Domain(
            lattice=LATTICE,
            shape=(self.params.size, self.params.size),
            channels=("attached",),
            states="growth",
            parameters=(Parameter("rho", 0.15, 0.6),),
            condition="rho",
            observables=(
                Observable("area", "sites", area),
                Observable("boundary", "sites", partial(boundary, lattice=LATTICE)),
            ),
            stop_margin=2,
        )

    def prepare(self, split: Split, rng: np.random.Generator) -> GrowthTrajectories:
        p, domain = self.params, self.domain
        repeats = p.repeats if split == "test" else 1
        params = np.repeat(rng.uniform(0.15, 0.6, (getattr(p, split), 1)), repeats, axis=0)
        seeds = np.zeros((len(params), *domain.shape), dtype=bool)
        seeds[:, 0, 0] = True
        lengths = np.full(len(params), p.steps + 1, np.int32)
        return GrowthTrajectories(params, lengths, domain, grow(seeds, params[:, 0], p.steps, rng)).stopped()


class GrowthTruth(Simulator):
    """The process itself, with its exact likelihood."""

    likelihood = "exact"

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> GrowthTrajectories:
        rho = start.params[:, start.domain.column("rho")]
        lengths = np.full(len(start), steps + 1, np.int32)
        arrival = grow(start.frame(0)[:, 0] > 0.5, rho, steps, rng)
        return GrowthTrajectories(start.params, lengths, start.domain, arrival).stopped()

    def log_likelihood(
        self,
        x: NDArray[np.float32],
        x_next: NDArray[np.float32],
        params: NDArray[np.float64],
        samples: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Σ over sites beside the crystal of log Bern(x'; ρ); −inf where anything else changes."""
        attached, grown = x[:, 0] > 0.5, x_next[:, 0] > 0.5
        open_sites, rho = front(attached, LATTICE), params[:, :1, None]
        terms = np.where(grown, np.log(rho), np.log1p(-rho))
        impossible = ((grown != attached) & ~open_sites).any(axis=(1, 2))
        nats: NDArray[np.float64] = np.where(open_sites, terms, 0.0).sum(axis=(1, 2))
        return np.where(impossible, -np.inf, nats)
