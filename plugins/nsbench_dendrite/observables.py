"""Observables of dendrites: how much is solid, how far it reaches, its interface, its arms and the heat around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Observable

State = NDArray[np.float32]
"""States of n trajectories, the phase and the temperature, [n, 2, H, W]."""

ANGLES = 144
ARM_RADIUS = 0.7
"""The circle on which arms are counted, in units of the tips' distance."""


def solid(state: State) -> NDArray[np.float64]:
    """The share of the box that is solid, the mean phase, float64[n]."""
    return state[:, 0].mean(axis=(1, 2), dtype=np.float64)


def tip(state: State) -> NDArray[np.float64]:
    """The distance of the farthest solid site (p >= ½) from the centre of mass, float64[n], sites; 0 without."""
    return _reach(state)[0]


def interface(state: State) -> NDArray[np.float64]:
    """The length of the interface, Σ |∇p| over squares of four sites, float64[n], sites."""
    p = state[:, 0].astype(np.float64)
    a, b, c, d = p[:, :-1, :-1], p[:, :-1, 1:], p[:, 1:, :-1], p[:, 1:, 1:]
    rows, columns = (c + d - a - b) / 2, (b + d - a - c) / 2
    return np.sqrt(rows**2 + columns**2).sum(axis=(1, 2))


def arms(state: State) -> NDArray[np.float64]:
    """The number of arms, float64[n]: arcs of solid (p >= ½, nearest sites) on a circle of 0.7 of the tips' distance.

    The circle is around the solid's centre of mass; where all of it is solid there are none.
    """
    radius, centre = _reach(state)
    angle = 2 * np.pi * np.arange(ANGLES) / ANGLES
    around = np.stack([np.sin(angle), np.cos(angle)])
    place = np.rint(centre[:, :, None] + ARM_RADIUS * radius[:, None, None] * around).astype(int)  # [n, 2, ANGLES]
    height, width = state.shape[2:]
    i, j = np.clip(place[:, 0], 0, height - 1), np.clip(place[:, 1], 0, width - 1)
    inside = state[np.arange(len(state))[:, None], 0, i, j] >= 0.5
    return (inside & ~np.roll(inside, 1, axis=1)).sum(axis=1).astype(np.float64)


def liquid_heat(state: State) -> NDArray[np.float64]:
    """The heat that the liquid holds, the mean of T (1 − p) over the box, float64[n]."""
    return (state[:, 1].astype(np.float64) * (1 - state[:, 0])).mean(axis=(1, 2))


def _reach(state: State) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(the distance of the farthest solid site from the centre of mass, float64[n], and that centre, float64[n, 2])."""
    p = np.clip(state[:, 0], 0, None).astype(np.float64)
    i, j = np.indices(p.shape[1:])
    mass = np.maximum(p.sum(axis=(1, 2)), np.finfo(np.float64).tiny)
    centre = np.stack([(p * i).sum(axis=(1, 2)) / mass, (p * j).sum(axis=(1, 2)) / mass], axis=1)
    distance = np.hypot(i - centre[:, 0, None, None], j - centre[:, 1, None, None])
    return np.where(p >= 0.5, distance, 0).max(axis=(1, 2)), centre


OBSERVABLES = (
    Observable("solid", "1", solid),
    Observable("tip", "sites", tip),
    Observable("interface", "sites", interface),
    Observable("arms", "1", arms),
    Observable("liquid_heat", "1", liquid_heat),
)
