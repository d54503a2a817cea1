"""Dendrites that grow, as a dataset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Dataset, Split
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Parameter, Symmetry
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_dendrite.kernel import LAWS, grow, keys_of
from nsbench_dendrite.observables import OBSERVABLES
from nsbench_dendrite.params import DatasetParams
from nsbench_dendrite.starts import columns, grid_of, require_shown, starts

SITE_STEPS = 1 << 27
"""Sites of the grid times steps of about a second."""


class DendriteDataset(Dataset):
    """Dendrites of latent heats, anisotropies and noises drawn uniformly, from one or more nuclei at random places."""

    params: DatasetParams

    @property
    def domain(self) -> Domain:
        p = self.params
        fixed = ("order", "block", "spacing", "time_step", "lead")
        return Domain(
            lattice="square",
            shape=(p.size, p.size),
            channels=("phase", "temperature"),
            states="fields",
            parameters=(
                Parameter("latent", *p.latent),
                Parameter("anisotropy", *p.anisotropy),
                Parameter("angle", *p.angle, unit="rad"),
                Parameter("noise", *p.noise),
                *(Parameter(name, float(getattr(p, name)), float(getattr(p, name))) for name in fixed),
                Parameter("nuclei", *p.nuclei, hidden=True),
                Parameter("radius", *p.radius, hidden=True),
                Parameter("history", 0, 2**53, hidden=True),
            ),
            condition="latent",
            observables=OBSERVABLES,
            boundaries=("closed", "closed"),
            symmetries=self._symmetries(),
            dt=p.steps * p.time_step,
            units=("1", "undercooling of the melt"),
        )

    def _symmetries(self) -> tuple[Symmetry, ...]:
        """Quarter turns with four directions of growth; reflections where one of these is along an axis."""
        turns: tuple[Symmetry, ...] = ("rotations",) if self.params.order == 4 else ()
        return (*turns, "reflections") if self.params.angle == (0, 0) else turns

    def prepare(self, split: Split, rng: np.random.Generator) -> FieldTrajectories:
        return self._made(split, rng, slice(None))

    def parts(self, split: Split) -> int:
        cases, repeats = self._cases(split)
        return -(-cases * repeats // self._part_size())

    def part(self, split: Split, rng: np.random.Generator, k: int) -> FieldTrajectories:
        size = self._part_size()
        return self._made(split, rng, slice(k * size, (k + 1) * size))

    def continued(self, starts: Trajectories, members: int, rng: np.random.Generator) -> FieldTrajectories:
        params = np.repeat(starts.params, members, axis=0)
        shown = np.repeat(starts.frame(0), members, axis=0)
        return self._grown(params, keys_of(int(rng.integers(2**63)), 0, len(params)), shown)

    def _part_size(self) -> int:
        p = self.params
        return max(1, SITE_STEPS // ((p.size * p.block) ** 2 * p.steps * (p.ticks + p.lead)))

    def _cases(self, split: Split) -> tuple[int, int]:
        """The number of cases in a split, and of trajectories of each."""
        p = self.params
        return {"train": (p.train, 1), "val": (p.val, 1), "test": (p.test.cases, p.test.repeats)}[split]

    def _made(self, split: Split, rng: np.random.Generator, part: slice) -> FieldTrajectories:
        """The trajectories of that slice of a split."""
        p = self.params
        cases, repeats = self._cases(split)
        drawn = [rng.uniform(low, high, cases) for low, high in (getattr(p, name) for name in LAWS)]
        fixed = [np.full(cases, q.low) for q in self.domain.parameters[len(LAWS) : -3]]
        count = rng.integers(p.nuclei[0], p.nuclei[1] + 1, cases)
        radius, history = rng.uniform(*p.radius, cases), rng.integers(2**53, size=cases)
        params = np.stack([*drawn, *fixed, count, radius, history], axis=1)
        seed = int(rng.integers(2**63))
        first, stop, _ = part.indices(cases * repeats)
        case = np.arange(first, stop) // repeats
        return self._grown(params[case], keys_of(seed, first, len(case)))

    def _grown(
        self, params: NDArray[np.float64], keys: NDArray[np.uint64], shown: NDArray[np.float32] | None = None
    ) -> FieldTrajectories:
        p, u = starts(params, self.domain)
        if shown is not None:
            require_shown(p, u, shown)
        laws = columns(params, self.domain, LAWS)
        frames = grow(p, u, laws, grid_of(self.domain), keys=keys, ticks=self.params.ticks)
        return FieldTrajectories(params, np.full(len(frames), frames.shape[1], np.int32), self.domain, frames)
