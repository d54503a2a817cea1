"""Observables of states from files, which hold no functions: shapes of growth, moments of fields."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Lattice, Observable, States
from nsbench.trajectories.morphology import area, boundary


def observables(lattice: Lattice, channels: tuple[str, ...], states: States) -> tuple[Observable, ...]:
    """The observables of a domain: area and boundary of growth; mean and deviation of each channel of fields."""
    if states == "growth":
        return Observable("area", "sites", area), Observable("boundary", "sites", partial(boundary, lattice=lattice))
    return tuple(
        Observable(f"{channel} {name}", "1", partial(function, channel=c))
        for c, channel in enumerate(channels)
        for name, function in (("mean", mean), ("deviation", deviation))
    )


def mean(state: NDArray[np.float32], channel: int) -> NDArray[np.float64]:
    """Mean over the sites of one channel, float64[n], of states float32[n, C, H, W]."""
    return state[:, channel].mean(axis=(1, 2), dtype=np.float64)


def deviation(state: NDArray[np.float32], channel: int) -> NDArray[np.float64]:
    """Standard deviation over the sites of one channel, float64[n], of states float32[n, C, H, W]."""
    return state[:, channel].std(axis=(1, 2), dtype=np.float64)
