"""A table of probabilities: the share of sites with k attached neighbours that attach, by density of vapour.

The table holds as much of the present as a single site can know, and nothing of how sites hang together. A network that
does no better has learned no more than to look at a site's neighbours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from nsbench.components.simulator import FitContext, Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Lattice
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.lattices import OFFSETS, attached_neighbours
from nsbench_ablations.null_params import FrozenNeighbourParams

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]

CHUNK_SITES = 1 << 22
"""The number of sites that are counted at once: bounds memory."""


class FrozenNeighbour(Simulator):
    """A table π with p(x' | x) = Π over unattached sites of Bern(π[bin of the condition, attached neighbours]).

    π = (attached + ½) / (counted + 1), Jeffreys' estimate, so that no probability is 0 or 1. Sites are always drawn:
    thresholded, nothing would be left to chance. What has attached stays.

    table: float64[bins, neighbours + 1]. edges: float64[bins + 1], of the bins; values beyond them count as in the
    first or last bin. column: of the parameter in ``Trajectories.params`` of the training set.
    """

    likelihood = "exact"
    params: FrozenNeighbourParams

    table: Array
    edges: Array
    column: int
    lattice: Lattice

    def fit(self, train: Trajectories, val: Trajectories, ctx: FitContext) -> None:
        domain = _checked(train.domain)
        self.column, self.lattice = domain.column(domain.condition), domain.lattice
        condition = domain.parameters[self.column]
        self.edges = np.linspace(condition.low, condition.high, self.params.bins + 1)
        counts = np.zeros((self.params.bins, len(OFFSETS[self.lattice]) + 1, 2))
        index, t = train.transitions()
        chosen = ctx.rng.permutation(len(index))[: ctx.transitions]
        rows = max(1, CHUNK_SITES // domain.sites)
        for first in range(0, len(chosen), rows):
            batch = chosen[first : first + rows]
            counts += self._counted(train, index[batch], t[batch])
            ctx.progress(min(first + rows, len(chosen)), ctx.transitions)
        self.table = (counts[..., 1] + 0.5) / (counts.sum(axis=-1) + 1)

    def _counted(self, train: Trajectories, index: NDArray[np.int64], t: NDArray[np.int64]) -> Array:
        """The numbers of unattached sites that stayed and that attached, float64[bins, neighbours + 1, 2]."""
        x, x_next = (train.at(index, frame)[:, 0] > 0.5 for frame in (t, t + 1))
        shape = (self.params.bins, len(OFFSETS[self.lattice]) + 1, 2)
        bins = np.broadcast_to(self._bins(train.params[index])[:, None, None], x.shape)
        place = np.ravel_multi_index((bins, attached_neighbours(x, self.lattice), x_next.astype(np.int64)), shape)
        return np.bincount(place[~x], minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)

    def _bins(self, params: Array) -> NDArray[np.int64]:
        """The bin of each row of float64[b, P], int64[b]."""
        inner = self.edges[1:-1]
        return np.searchsorted(inner, params[:, self.column], side="right")

    def probabilities(self, x: Mask, params: Array) -> Array:
        """The probability of each site to attach, if it is unattached, float64[b, H, W]."""
        return self.table[self._bins(params)[:, None, None], attached_neighbours(x, self.lattice)]

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> GrowthTrajectories:
        stop = _checked(start.domain).stop_sites()
        arrival = np.where(start.frame(0)[:, 0] > 0.5, 0, -1).astype(np.int32)
        lengths, alive = np.ones(len(start), np.int32), np.arange(len(start))
        for t in range(1, steps + 1):
            alive = alive[~(arrival[alive] >= 0)[:, stop].any(axis=1)]
            if not len(alive):
                break
            now = arrival[alive]
            attaches = rng.random(now.shape) < self.probabilities(now >= 0, start.params[alive])
            arrival[alive] = np.where((now < 0) & attaches, np.int32(t), now)
            lengths[alive] = t + 1
        return GrowthTrajectories(start.params, lengths, start.domain, arrival)

    def log_likelihood(
        self,
        x: NDArray[np.float32],
        x_next: NDArray[np.float32],
        params: NDArray[np.float64],
        samples: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """The log p(x_next | x, params), exactly; −inf where an attached site is gone."""
        before, after = x[:, 0] > 0.5, x_next[:, 0] > 0.5
        p = self.probabilities(before, params)
        free = np.where(after, np.log(p), np.log1p(-p))
        return np.where(before, np.where(after, 0.0, -np.inf), free).sum(axis=(1, 2))

    def save(self, directory: Path) -> None:
        np.savez(directory / "table.npz", table=self.table, edges=self.edges)
        facts = {"column": self.column, "lattice": self.lattice}
        (directory / "table.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")

    def load(self, directory: Path) -> None:
        with np.load(directory / "table.npz", allow_pickle=False) as arrays:
            self.table, self.edges = arrays["table"], arrays["edges"]
        facts = json.loads((directory / "table.json").read_text(encoding="utf-8"))
        self.column, self.lattice = facts["column"], cast(Lattice, facts["lattice"])

    def size(self) -> int | None:
        return self.table.size


def _checked(domain: Domain) -> Domain:
    """The domain, if it is one of growth of one channel. Raises ValueError."""
    if len(domain.channels) != 1 or domain.states != "growth":
        raise ValueError(f"FrozenNeighbour learns growth of one channel, got {', '.join(domain.channels)}")
    return domain
