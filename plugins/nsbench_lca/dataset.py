"""Snow crystals grown by the LCA, as a dataset."""

from __future__ import annotations

import numpy as np

from nsbench.components.dataset import Dataset, Split
from nsbench.trajectories.domain import Domain, Lattice, Parameter
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.kernel import LAWS, Device, Growth, grow_laws
from nsbench_lca.layout import Symmetry
from nsbench_lca.morphology import OBSERVABLES
from nsbench_lca.params import DatasetParams

LATTICES: dict[Symmetry, Lattice] = {"quadrant": "hexagonal-quadrant", "none": "hexagon"}


class LCADataset(Dataset):
    """Crystals at vapour densities ρ ~ U(low, high): the same laws, other densities, other noise.

    The densities of the test split are stratified: one in each of as many equal parts of the range.
    """

    params: DatasetParams

    @property
    def domain(self) -> Domain:
        p = self.params
        side = p.size if p.symmetry == "quadrant" else 2 * p.size
        return Domain(
            lattice=LATTICES[p.symmetry],
            shape=(side, side),
            channels=("attached",),
            states="growth",
            parameters=tuple(Parameter(name, *(p.rho if name == "rho" else (getattr(p, name),) * 2)) for name in LAWS),
            condition="rho",
            observables=OBSERVABLES[p.symmetry],
            clock="event",
            stop_margin=p.stop_margin,
        )

    def prepare(self, split: Split, rng: np.random.Generator) -> GrowthTrajectories:
        return self._grown(split, rng, slice(None))

    def parts(self, split: Split) -> int:
        count, repeats = self._cases(split)
        return -(-count * repeats // self._part_size())

    def part(self, split: Split, rng: np.random.Generator, k: int) -> GrowthTrajectories:
        size = self._part_size()
        return self._grown(split, rng, slice(k * size, (k + 1) * size))

    def _part_size(self) -> int:
        """The number of trajectories that grow in about a second: one costs N³, its sites times its steps."""
        return max(1, 512 * 64**3 // self.params.size**3)

    def _cases(self, split: Split) -> tuple[int, int]:
        """The number of distinct ρ in a split, and of trajectories at each."""
        p = self.params
        return {
            "train": (p.train // p.repeats, p.repeats),
            "val": (p.val // p.repeats, p.repeats),
            "test": (p.test.parameters, p.test.repeats),
        }[split]

    def _grown(self, split: Split, rng: np.random.Generator, part: slice) -> GrowthTrajectories:
        """The trajectories of that slice of a split."""
        count, repeats = self._cases(split)
        rho = np.repeat(self.densities(split, count, rng), repeats)
        params = np.tile([parameter.low for parameter in self.domain.parameters], (len(rho), 1))
        params[:, LAWS.index("rho")] = rho
        first = part.indices(len(rho))[0]
        growth = grow_cases(params[part], self.domain, rng, max_steps=self.params.max_steps, first=first)
        return GrowthTrajectories(params[part], growth.steps + np.int32(1), self.domain, growth.arrival)

    def densities(self, split: Split, count: int, rng: np.random.Generator) -> np.ndarray:
        """The distinct densities of a split, float64[count]."""
        if split != "test":
            return rng.uniform(*self.params.rho, count)
        low, high = self.params.rho
        return low + (high - low) * (rng.permutation(count) + rng.random(count)) / count


def grow_cases(
    params: np.ndarray,
    domain: Domain,
    rng: np.random.Generator,
    *,
    max_steps: int = 10_000,
    first: int = 0,
    device: Device = "cpu",
) -> Growth:
    """Grow one crystal for each row of `params`, float64[n, P]. first: the place of the first row among all."""
    symmetry = next((symmetry for symmetry, lattice in LATTICES.items() if lattice == domain.lattice), None)
    if domain.stop_margin is None or domain.shape[0] != domain.shape[1] or symmetry is None:
        raise ValueError(f"the LCA grows square maps of {' or '.join(LATTICES.values())} lattices with a stop margin")
    return grow_laws(
        params[:, [domain.column(name) for name in LAWS]],
        size=domain.shape[0] if symmetry == "quadrant" else domain.shape[0] // 2,
        seed=int(rng.integers(2**63)),
        stop_margin=domain.stop_margin,
        max_steps=max_steps,
        symmetry=symmetry,
        first=first,
        device=device,
    )
