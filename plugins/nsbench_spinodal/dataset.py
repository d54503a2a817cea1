"""Spinodal decomposition as a dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Dataset, Split
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_spinodal.fourier import LANES
from nsbench_spinodal.kernel import evolve
from nsbench_spinodal.observables import OBSERVABLES
from nsbench_spinodal.params import DatasetParams
from nsbench_spinodal.starts import random_start


class SpinodalDataset(Dataset):
    """Mixtures of mean c ~ U and noise ε ~ U, each from a random field of its own: the same law, other noise."""

    params: DatasetParams

    @property
    def domain(self) -> Domain:
        p = self.params
        return Domain(
            lattice="square",
            shape=(p.size, p.size),
            channels=("phi",),
            states="fields",
            parameters=(
                Parameter("mean", *p.mean),
                Parameter("noise", *p.noise),
                Parameter("steps", p.steps, p.steps),
            ),
            condition="mean",
            observables=OBSERVABLES,
            boundaries=("periodic", "periodic"),
            symmetries=("translations", "rotations", "reflections"),
            dt=p.tick,
        )

    def prepare(self, split: Split, rng: np.random.Generator) -> FieldTrajectories:
        return self._made(split, rng, slice(None))

    def parts(self, split: Split) -> int:
        count, repeats = self._cases(split)
        return -(-count * repeats // self._part_size())

    def part(self, split: Split, rng: np.random.Generator, k: int) -> FieldTrajectories:
        size = self._part_size()
        return self._made(split, rng, slice(k * size, (k + 1) * size))

    def continued(self, starts: Trajectories, members: int, rng: np.random.Generator) -> FieldTrajectories:
        domain = replace(starts.domain, stride=None)
        begin, params = np.repeat(starts.frame(0), members, axis=0), np.repeat(starts.params, members, axis=0)
        return separated(begin, params, domain, rng, frames=self.params.ticks)

    def _part_size(self) -> int:
        """The number of trajectories that take about a second, in whole blocks."""
        p = self.params
        return LANES * max(1, 3 * 10**8 // (p.size**2 * p.ticks * p.steps * LANES))

    def _cases(self, split: Split) -> tuple[int, int]:
        """The number of distinct starts in a split, and of trajectories from each."""
        p = self.params
        return {"train": (p.train, 1), "val": (p.val, 1), "test": (p.test.cases, p.test.repeats)}[split]

    def _made(self, split: Split, rng: np.random.Generator, part: slice) -> FieldTrajectories:
        """The trajectories of that slice of a split."""
        p = self.params
        count, repeats = self._cases(split)
        mean, noise, amplitude, length = (rng.uniform(*r, count) for r in (p.mean, p.noise, p.amplitude, p.length))
        seed = int(rng.integers(2**63))
        places = np.arange(count * repeats)[part]
        cases, again = np.unique(places // repeats, return_inverse=True)
        begin = [
            random_start(p.size, mean[i], amplitude[i], length[i], np.random.default_rng([seed, i])) for i in cases
        ]
        params = np.stack([mean, noise, np.full(count, float(p.steps))], axis=1)[cases]
        start = np.array(begin, np.float32)[:, None]
        return separated(start[again], params[again], self.domain, rng, frames=p.ticks, first=int(places[0]))


def separated(
    start: NDArray[np.float32],
    params: NDArray[np.float64],
    domain: Domain,
    rng: np.random.Generator,
    *,
    frames: int,
    first: int = 0,
    noise: float | None = None,
) -> FieldTrajectories:
    """What follows from starts, float32[n, 1, N, N], for so many frames of the domain's stride (a tick without one).

    noise: ε in place of the one among `params`. first: the place of the first start among all.
    """
    if domain.dt is None:
        raise ValueError("the domain's dt is not known, and without it no time step")
    steps = int(params[0, domain.column("steps")])
    fields = evolve(
        start[:, 0],
        params[:, domain.column("noise")] if noise is None else noise,
        frames=frames,
        steps=steps * (domain.stride or 1),
        time_step=domain.dt / steps,
        seed=int(rng.integers(2**63)),
        first=first,
    )
    return FieldTrajectories(params, np.full(len(start), frames + 1, np.int32), domain, fields[:, :, None])
