"""Snow crystals grown by the LCA, as a dataset."""

from __future__ import annotations

import numpy as np

from nsbench.components import Dataset, Split
from nsbench.trajectories import Domain, GrowthTrajectories, Parameter
from nsbench_lca.kernel import LAWS, Growth, grow
from nsbench_lca.morphology import OBSERVABLES
from nsbench_lca.params import DatasetParams


class LCADataset(Dataset):
    """Crystals at vapour densities ρ ~ U(low, high): the same laws, other densities, other noise."""

    params: DatasetParams

    @property
    def domain(self) -> Domain:
        p = self.params
        return Domain(
            lattice="hexagonal-quadrant",
            shape=(p.size, p.size),
            channels=("attached",),
            irreversible=True,
            parameters=tuple(Parameter(name, *(p.rho if name == "rho" else (getattr(p, name),) * 2)) for name in LAWS),
            condition="rho",
            observables=OBSERVABLES,
            clock="event",
            stop_margin=p.stop_margin,
        )

    def prepare(self, split: Split, rng: np.random.Generator) -> GrowthTrajectories:
        p = self.params
        count, repeats = {
            "train": (p.train // p.repeats, p.repeats),
            "val": (p.val // p.repeats, p.repeats),
            "test": (p.test.parameters, p.test.repeats),
        }[split]
        rho = np.repeat(rng.uniform(*p.rho, count), repeats)
        params = np.tile([parameter.low for parameter in self.domain.parameters], (len(rho), 1))
        params[:, LAWS.index("rho")] = rho
        growth = grow_cases(params, self.domain, rng, max_steps=p.max_steps)
        return GrowthTrajectories(params, growth.steps + np.int32(1), self.domain, growth.arrival)


def grow_cases(params: np.ndarray, domain: Domain, rng: np.random.Generator, *, max_steps: int = 10_000) -> Growth:
    """Grow one crystal for each row of `params`, float64[n, 8] in the order of LAWS."""
    if domain.stop_margin is None or domain.shape[0] != domain.shape[1]:
        raise ValueError("the LCA grows square quadrants with a stop margin")
    laws = {name: params[:, domain.column(name)] for name in LAWS}
    return grow(
        size=domain.shape[0],
        seed=int(rng.integers(2**63)),
        stop_margin=domain.stop_margin,
        max_steps=max_steps,
        **laws,
    )
