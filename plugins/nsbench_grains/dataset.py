"""Grains that coarsen, as a dataset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Dataset, Split
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.labels import LabelTrajectories
from nsbench_grains.kernel import LAWS, coarsen, tessellations
from nsbench_grains.observables import OBSERVABLES
from nsbench_grains.params import DatasetParams

SITE_SWEEPS = 1 << 27
"""Sites times sweeps of about a second."""


class GrainsDataset(Dataset):
    """Grains at temperatures and anisotropies drawn uniformly, from the Voronoi cells of more or fewer points."""

    params: DatasetParams

    @property
    def domain(self) -> Domain:
        p = self.params
        return Domain(
            lattice="square",
            shape=(p.size, p.size),
            channels=("label",),
            states="labels",
            parameters=(
                Parameter("temperature", *p.temperature, unit="J"),
                Parameter("anisotropy", *p.anisotropy),
                Parameter("diagonal", p.diagonal, p.diagonal, unit="J"),
            ),
            condition="temperature",
            observables=OBSERVABLES,
            boundaries=("periodic", "periodic"),
            labels=p.labels,
            symmetries=("translations", "reflections", "labels"),
            dt=1.0,
            time_unit="sweeps",
        )

    def prepare(self, split: Split, rng: np.random.Generator) -> LabelTrajectories:
        return self._made(split, rng, slice(None))

    def parts(self, split: Split) -> int:
        cases, repeats = self._cases(split)
        return -(-cases * repeats // self._part_size())

    def part(self, split: Split, rng: np.random.Generator, k: int) -> LabelTrajectories:
        size = self._part_size()
        return self._made(split, rng, slice(k * size, (k + 1) * size))

    def continued(self, starts: Trajectories, members: int, rng: np.random.Generator) -> LabelTrajectories:
        laws = np.repeat(starts.params, members, axis=0)
        labels = np.repeat(starts.frame(0)[:, 0].astype(np.uint8), members, axis=0)
        frames = coarsen(labels, laws, q=self.params.labels, sweeps=self.params.sweeps, seed=int(rng.integers(2**63)))
        return self._record(laws, frames)

    def _part_size(self) -> int:
        p = self.params
        return max(1, SITE_SWEEPS // (p.size**2 * (p.sweeps + p.start_sweeps)))

    def _cases(self, split: Split) -> tuple[int, int]:
        """The number of cases in a split, and of trajectories of each."""
        p = self.params
        return {"train": (p.train, 1), "val": (p.val, 1), "test": (p.test.cases, p.test.repeats)}[split]

    def _made(self, split: Split, rng: np.random.Generator, part: slice) -> LabelTrajectories:
        """The trajectories of that slice of a split."""
        p = self.params
        cases, repeats = self._cases(split)
        laws = np.empty((cases, len(LAWS)))
        laws[:, 0], laws[:, 1] = rng.uniform(*p.temperature, cases), rng.uniform(*p.anisotropy, cases)
        laws[:, 2] = p.diagonal
        points = rng.integers(p.points[0], p.points[1] + 1, cases)
        cells_seed, start_seed, seed = (int(s) for s in rng.integers(2**63, size=3))
        first, stop, _ = part.indices(cases * repeats)
        a, b = first // repeats, -(-stop // repeats)  # the cases that the slice has trajectories of
        cells = tessellations(points[a:b], shape=self.domain.shape, q=p.labels, seed=cells_seed, first=a)
        n = p.start_sweeps
        starts = coarsen(cells, laws[a:b], q=p.labels, sweeps=n, seed=start_seed, first=a, every=max(n, 1))[:, -1]
        case = np.arange(first, stop) // repeats
        frames = coarsen(starts[case - a], laws[case], q=p.labels, sweeps=p.sweeps, seed=seed, first=first)
        return self._record(laws[case], frames)

    def _record(self, laws: NDArray[np.float64], frames: NDArray[np.uint8]) -> LabelTrajectories:
        lengths = np.full(len(frames), frames.shape[1], np.int32)
        return LabelTrajectories(laws, lengths, self.domain, frames)
