"""Clusters grown in gusts of wind: starts drawn, and growth from given starts."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from nsbench_gusts.law import MASKS, SITUATION, WINDS, Array, hazards, survival
from nsbench_gusts.params import Noise
from nsbench_gusts.rules import grow_all, ripen_all, start_all

EDEN_RATE = 0.15
"""λ of the growth of a start, which no wind directs."""

AT_ONCE = 16
"""Trajectories that a thread takes at a time: one is a few microseconds of work."""


def draw_starts(
    places: NDArray[np.int64], *, size: int, clusters: tuple[int, int], age: tuple[int, int], seed: int
) -> NDArray[np.bool_]:
    """The starts at those places of a seed's series, bool[n, size, size] for int64[n]: see ``params.DatasetParams``."""
    attached = np.empty((len(places), size, size), np.bool_)
    thresholds = _thresholds(1 - survival(np.array([EDEN_RATE]), np.zeros(1)))[0]
    with numba.parallel_chunksize(AT_ONCE):
        start_all(stream(seed), places, clusters, age, thresholds, attached)
    return attached


def grow(
    attached: NDArray[np.bool_],
    rate: Array,
    strength: Array,
    *,
    steps: int,
    seed: int,
    noise: Noise = "gusts",
    first: int = 0,
) -> NDArray[np.int32]:
    """Growth maps of starts, int32[n, H, H] for bool[n, H, H]: the step in which a site attached, −1 for never.

    rate, strength: λ and s of each, float64[n]. noise: see ``params.SimulatorParams``. The trajectory at position k
    depends on `seed`, `first` + k, its own start and parameters alone: `first` lets a large set be grown in parts.
    Raises ValueError for a lattice that is not as high as it is wide.
    """
    if attached.shape[1] != attached.shape[2]:
        raise ValueError(f"gusts blow on lattices as high as they are wide, got {attached.shape[1:]} sites")
    arrival = np.empty(attached.shape, np.int32)
    with numba.parallel_chunksize(AT_ONCE):
        if noise == "none":
            ripen_all(attached, -np.log(survival(rate, strength)), steps, arrival)
        else:
            grow_all(attached, *_chances(rate, strength, noise), stream(seed), first, steps, arrival)
    return arrival


def _chances(rate: Array, strength: Array, noise: Noise) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """The chances of n systems, (thresholds[n, situations], the situation uint8[winds, masks] that tells them)."""
    if noise == "sites":
        whatever_the_wind = np.tile(np.arange(MASKS, dtype=np.uint8), (WINDS, 1))
        return _thresholds(1 - survival(rate, strength)), whatever_the_wind
    return _thresholds(-np.expm1(-hazards(rate, strength))), SITUATION


def _thresholds(chances: Array) -> NDArray[np.uint64]:
    """Chances in units of 2⁻⁵³, as the kernel compares them with random bits."""
    return (chances * 2.0**53).astype(np.uint64)


def stream(seed: int) -> np.uint64:
    """The key of a seed's random numbers."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
