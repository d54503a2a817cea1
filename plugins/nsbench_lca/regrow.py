"""Crystals of the LCA's dataset as files of the CGNE authors' layout, which hold masses that the dataset does not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from nsbench.components.dataset import Split
from nsbench.components.format import Origin
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.dataset import LCADataset
from nsbench_lca.formats import write_cgne
from nsbench_lca.kernel import LAWS
from nsbench_lca.record import record


def write_grown_again(directory: Path, split: Split, recorded: Trajectories, origin: Origin) -> dict[str, Any]:
    """Grow each crystal again from the seed that it had, and write it to <directory>/<split>/flake_…/flake_<i>.h5.

    i is its number in the split. Returns sigma and stop_margin, which the files do not hold. Raises ValueError
    for other data than the LCA's, and for a crystal that does not grow as it did.
    """
    dataset = origin.dataset
    if not isinstance(dataset, LCADataset) or not isinstance(recorded, GrowthTrajectories):
        raise ValueError(f"cgne holds the masses of crystals, which only the lca can grow again, not {origin.name!r}")
    if dataset.params.symmetry != "quadrant":
        raise ValueError("cgne files hold quadrants: whole crystals (symmetry: none) do not fit in")
    p, seed = dataset.params, growth_seed(dataset, recorded, split, origin.rng)
    for i, (laws, arrival) in enumerate(zip(recorded.params, recorded.arrival, strict=True)):
        grown = record(laws, i, size=p.size, seed=seed, stop_margin=p.stop_margin, max_steps=p.max_steps)
        if not np.array_equal(grown.arrival, arrival):
            raise ValueError(f"crystal {i} of {split} does not grow again as it did; was its data made by other code?")
        write_cgne(directory / split, dict(zip(LAWS, laws.tolist(), strict=True)), [grown], first=i)
    return {"sigma": p.sigma, "stop_margin": p.stop_margin}


def growth_seed(dataset: LCADataset, recorded: GrowthTrajectories, split: Split, rng: np.random.Generator) -> int:
    """The seed that ``dataset.prepare`` drew for the kernel after the values of ρ.

    Raises ValueError where `rng` does not draw the ρ that were recorded.
    """
    rng = copy.deepcopy(rng)
    rho = recorded.params[:, LAWS.index("rho")]
    count = len(np.unique(rho))
    if not np.array_equal(np.sort(dataset.densities(split, count, rng)), np.unique(rho)):
        raise ValueError("these crystals were not drawn by this dataset with this seed")
    return int(rng.integers(2**63))
