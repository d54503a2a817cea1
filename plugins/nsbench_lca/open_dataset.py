"""Whole crystals from random clusters or in mid-growth, as a dataset: open starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Dataset, Split
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.branches import Branches, grow_branches
from nsbench_lca.clusters import random_clusters
from nsbench_lca.kernel import LAWS
from nsbench_lca.open_morphology import OPEN_OBSERVABLES
from nsbench_lca.open_params import OpenDatasetParams, Range

STARTS = ("history", "seeds", "radius", "fill", "after")
"""Hidden parameters, from which the truth makes a start again: see ``OpenStart``.

history: whole number in [0, 2⁵³), the seed of its cluster and of the noise until its trajectory begins.
"""


class OpenDataset(Dataset):
    """Crystals under the LCA's rules, whose laws, clusters, and growth before the first frame differ by case."""

    params: OpenDatasetParams

    @property
    def domain(self) -> Domain:
        p = self.params
        starts = {
            "history": (0, 2**53),
            "seeds": p.start.seeds,
            "radius": (p.start.radius,) * 2,
            "fill": (p.start.fill,) * 2,
            "after": p.start.after,
        }
        return Domain(
            lattice="hexagon",
            shape=(2 * p.size, 2 * p.size),
            channels=("attached",),
            states="growth",
            parameters=(
                *(Parameter(law, *p.range(law)) for law in LAWS),
                *(Parameter(name, *starts[name], hidden=True) for name in STARTS),
            ),
            condition="rho",
            observables=OPEN_OBSERVABLES,
            clock="event",
            stop_margin=p.stop_margin,
            symmetries=("rotations", "reflections"),
        )

    def prepare(self, split: Split, rng: np.random.Generator) -> GrowthTrajectories:
        return self._grown(split, rng, slice(None))

    def parts(self, split: Split) -> int:
        count, repeats = self._cases(split)
        return -(-count * repeats // self._part_size())

    def part(self, split: Split, rng: np.random.Generator, k: int) -> GrowthTrajectories:
        size = self._part_size()
        return self._grown(split, rng, slice(k * size, (k + 1) * size))

    def continued(self, starts: Trajectories, members: int, rng: np.random.Generator) -> GrowthTrajectories:
        """The truth from first frames that their histories give; raises ValueError for any other."""
        members_of = starts.select(np.repeat(np.arange(len(starts)), members))
        growth = continue_growth(members_of, rng)
        return GrowthTrajectories(members_of.params, growth.steps + np.int32(1), self.domain, growth.arrival)

    def _part_size(self) -> int:
        """The number of trajectories that grow in about a second: one costs N³, its sites times its steps."""
        return max(1, 128 * 64**3 // self.params.size**3)

    def _cases(self, split: Split) -> tuple[int, int]:
        """The number of cases in a split, and of trajectories of each."""
        p = self.params
        return {"train": (p.train, 1), "val": (p.val, 1), "test": (p.test.cases, p.test.repeats)}[split]

    def _grown(self, split: Split, rng: np.random.Generator, part: slice) -> GrowthTrajectories:
        """The trajectories of that slice of a split."""
        count, repeats = self._cases(split)
        inside = round(count * self.params.test.held_out) if split == "test" and self.params.holdout else 0
        params = np.repeat(self._drawn(count, inside, rng), repeats, axis=0)
        first = part.indices(len(params))[0]
        growth = grow_starts(params[part], self.domain, rng, first=first)
        return GrowthTrajectories(params[part], growth.steps + np.int32(1), self.domain, growth.arrival)

    def _drawn(self, count: int, inside: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """The parameters of `count` cases, float64[count, P]; the first `inside` of them in the gaps of `holdout`."""
        p = self.params
        columns = []
        for law in LAWS:
            gap = p.holdout.get(law)
            columns.append(_outside(p.range(law), gap, count, rng))
            if gap is not None:
                columns[-1][:inside] = rng.uniform(*gap, inside)
        histories = rng.integers(2**53, size=count)
        seeds = rng.integers(p.start.seeds[0], p.start.seeds[1], size=count, endpoint=True)
        fixed = (np.full(count, float(value)) for value in (p.start.radius, p.start.fill))
        after = rng.uniform(*p.start.after, count)
        return np.stack([*columns, histories, seeds, *fixed, after], axis=1, dtype=np.float64)


def _outside(bounds: Range, gap: Range | None, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Numbers drawn uniformly from a range without its gap, float64[count]."""
    if gap is None:
        return rng.uniform(*bounds, count)
    width = gap[1] - gap[0]
    drawn = rng.uniform(bounds[0], bounds[1] - width, count)
    return np.where(drawn < gap[0], drawn, drawn + width)


def grow_starts(
    params: NDArray[np.float64],
    domain: Domain,
    rng: np.random.Generator,
    *,
    sigma: float | None = None,
    first: int = 0,
) -> Branches:
    """Make the start of each row of `params`, float64[n, P], and grow on from it; sigma: None for the row's own."""
    missing = [name for name in (*LAWS, *STARTS) if name not in {p.name for p in domain.parameters}]
    if domain.lattice != "hexagon" or domain.stop_margin is None or missing:
        lacks = f", which lacks {', '.join(missing)}" if missing else ""
        raise ValueError(
            f"open starts are on a hexagon with a stop margin and have the parameters of lca-open, got a domain on "
            f"the lattice {domain.lattice}{lacks}"
        )
    histories, seeds, radius, fill, after = (params[:, domain.column(name)] for name in STARTS)
    for name, column in (("radius", radius), ("fill", fill)):
        if len(np.unique(column)) > 1:
            raise ValueError(f"{name} must be the same for all starts, got {column.min():g} to {column.max():g}")
    size = domain.shape[0] // 2
    return grow_branches(
        params[:, [domain.column(name) for name in LAWS]],
        random_clusters(histories, seeds.astype(np.int64), fill[0], radius=int(radius[0]), size=size),
        after,
        histories,
        size=size,
        seed=int(rng.integers(2**63)),
        stop_margin=domain.stop_margin,
        sigma=sigma,
        first=first,
    )


def continue_growth(start: Trajectories, rng: np.random.Generator, sigma: float | None = None) -> Branches:
    """The growth from the first frame of each trajectory on. Raises ValueError where its history gives another."""
    growth = grow_starts(start.params, start.domain, rng, sigma=sigma)
    other = np.flatnonzero(((growth.arrival == 0) != (start.frame(0)[:, 0] > 0.5)).any(axis=(1, 2)))
    if len(other):
        raise ValueError(
            f"start {other[0]} is not the crystal that its history gives ({len(other)} of {len(start)} are not): the "
            "truth goes on only from first frames of lca-open, whose masses it can grow again"
        )
    return growth
