"""Ensembles: trajectories that are draws of one distribution, from cases with the same start and parameters.

The protocol rolls every case out `members` times. Cases that share start state and parameters form one
ensemble: g cases, so g truths and g · members simulated trajectories, and any truth may be held against any
of them. With eight repeats of a value of ρ, even `members: 1` gives ensembles of eight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import Trajectories

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ensembles:
    """E ensembles of one size.

    cases: int64[E, g], into the reference; rollouts: int64[E, M], into the rollouts, M = g · members.
    """

    cases: Index
    rollouts: Index

    def __len__(self) -> int:
        return len(self.cases)

    def chunks(self, size: int) -> Iterator[Ensembles]:
        """These ensembles in pieces of at most `size`."""
        for k in range(0, len(self), max(size, 1)):
            yield Ensembles(self.cases[k : k + size], self.rollouts[k : k + size])


def ensembles(reference: Trajectories, members: int) -> list[Ensembles]:
    """The ensembles of the reference's cases by size: one entry for each number of cases in an ensemble."""
    by_size: dict[int, list[Index]] = {}
    for cases in alike(reference):
        by_size.setdefault(len(cases), []).append(cases)
    parts = []
    for _, groups in sorted(by_size.items()):
        cases = np.stack(groups)  # [E, g]
        rollouts = (cases[:, :, None] * members + np.arange(members)).reshape(len(cases), -1)
        parts.append(Ensembles(cases, rollouts))
    return parts


def ensemble_of(trajectories: Trajectories) -> Index:
    """The ensemble of each trajectory, int64[n], numbered from 0."""
    number = np.empty(len(trajectories), dtype=np.int64)
    for k, cases in enumerate(alike(trajectories)):
        number[cases] = k
    return number


def alike(trajectories: Trajectories) -> list[Index]:
    """The groups of trajectories with equal parameters and equal first frames, each an array of indices."""
    groups: dict[bytes, list[int]] = {}
    for case in range(len(trajectories)):
        start = trajectories.at(np.array([case]), np.array([0]))
        content = (trajectories.params[case] + 0.0, start + start.dtype.type(0))  # -0.0 becomes the 0.0 that it equals
        key = blake2b(b"".join(array.tobytes() for array in content)).digest()
        groups.setdefault(key, []).append(case)
    return [np.array(cases, dtype=np.int64) for cases in groups.values()]
