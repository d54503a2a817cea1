"""Clusters grown in gusts of wind, as a dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsbench.components.dataset import Dataset, Split
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_gusts.growth import draw_starts, grow
from nsbench_gusts.observables import OBSERVABLES
from nsbench_gusts.params import DatasetParams, Noise

SITES_AT_ONCE = 1 << 24
"""Sites of a part: at most a second of work, and 64 MiB of maps."""


class GustsDataset(Dataset):
    """Clusters from random starts, at rates λ and strengths s drawn uniformly from their ranges."""

    params: DatasetParams

    @property
    def domain(self) -> Domain:
        p = self.params
        return Domain(
            lattice="hexagonal",
            shape=(p.size, p.size),
            channels=("attached",),
            states="growth",
            parameters=(Parameter("rate", *p.rate), Parameter("strength", *p.strength)),
            condition="rate",
            observables=OBSERVABLES,
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
        return grow_cases(starts.select(np.repeat(np.arange(len(starts)), members)), self.params.steps, rng)

    def _part_size(self) -> int:
        """The number of trajectories of a part."""
        return max(1, SITES_AT_ONCE // self.params.size**2)

    def _cases(self, split: Split) -> tuple[int, int]:
        """The number of cases in a split, and of trajectories of each."""
        p = self.params
        return {"train": (p.train, 1), "val": (p.val, 1), "test": (p.test.cases, p.test.repeats)}[split]

    def _grown(self, split: Split, rng: np.random.Generator, part: slice) -> GrowthTrajectories:
        """The trajectories of that slice of a split."""
        p, (count, repeats) = self.params, self._cases(split)
        each = np.stack([rng.uniform(*p.rate, count), rng.uniform(*p.strength, count)], axis=1)
        seed = int(rng.integers(2**63))
        place = np.arange(count * repeats)[part]
        case = place // repeats
        attached = draw_starts(case, size=p.size, clusters=p.clusters, age=p.age, seed=seed)
        params, lengths = each[case], np.ones(len(case), np.int32)
        arrival = np.where(attached, np.int32(0), np.int32(-1))
        starts = GrowthTrajectories(params, lengths, self.domain, arrival)
        return grow_cases(starts, p.steps, rng, first=part.indices(count * repeats)[0])


def grow_cases(
    starts: Trajectories, steps: int, rng: np.random.Generator, *, noise: Noise = "gusts", first: int = 0
) -> GrowthTrajectories:
    """A record of growth from the first frames and parameters of trajectories, in the starts' own domain and no stride.

    first: the place of the first among all.
    """
    domain, params = starts.domain, starts.params
    arrival = grow(
        starts.frame(0)[:, 0] > 0.5,
        params[:, domain.column("rate")],
        params[:, domain.column("strength")],
        steps=steps,
        seed=int(rng.integers(2**63)),
        noise=noise,
        first=first,
    )
    lengths = np.full(len(params), steps + 1, np.int32)
    return GrowthTrajectories(params, lengths, replace(domain, stride=None), arrival)
