"""Observables of a field that separates into φ ≈ −1 and φ ≈ 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Observable
from nsbench_spinodal.starts import squared_wave_numbers

States = NDArray[np.float32]
Numbers = NDArray[np.float64]


def variance(state: States) -> Numbers:
    """The variance of φ over the sites, float64[n]."""
    return state[:, 0].var(axis=(1, 2), dtype=np.float64)


def structure_factor(state: States) -> Numbers:
    """S_k = |φ̂_k|²/N² of the waves k of ``np.fft.rfft2``, float64[n, N, N/2 + 1]; that of k = 0 is 0.

    White noise of variance 1 has S_k = 1.
    """
    waves = np.fft.rfft2(state[:, 0].astype(np.float64))
    waves[:, 0, 0] = 0
    return np.abs(waves) ** 2 / state[0, 0].size


def weighted(power: Numbers, weight: Numbers) -> Numbers:
    """The sum over all waves of weight · power, float64[n]: of those of ``np.fft.rfft2``, most stand for two."""
    twice = np.full(power.shape[2], 2.0)
    twice[[0, -1]] = 1
    return (power * (weight * twice)).sum(axis=(1, 2))


def domain_size(state: States) -> Numbers:
    """2π/⟨k⟩, ⟨k⟩ = Σ k S_k / Σ S_k the first moment of the structure factor, in sites; 0 of a uniform state."""
    power, k = structure_factor(state), np.sqrt(squared_wave_numbers(state.shape[2]))
    moment = weighted(power, k)
    return np.divide(2 * np.pi * weighted(power, np.ones_like(k)), moment, out=np.zeros_like(moment), where=moment > 0)


def energy(state: States) -> Numbers:
    """The free energy a site, the mean of (φ² − 1)²/4 + |∇φ|²/2, its gradient taken in Fourier space; float64[n]."""
    well = ((state[:, 0].astype(np.float64) ** 2 - 1) ** 2).mean(axis=(1, 2)) / 4
    return well + weighted(structure_factor(state), squared_wave_numbers(state.shape[2])) / (2 * state[0, 0].size)


def interface(state: States) -> Numbers:
    """The pairs of neighbouring sites with φ > 0 on one side alone, float64[n]: the length of the interface."""
    positive = state[:, 0] > 0
    across = [(positive != np.roll(positive, 1, axis)).sum(axis=(1, 2)) for axis in (1, 2)]
    return (across[0] + across[1]).astype(np.float64)


OBSERVABLES = (
    Observable("variance", "1", variance),
    Observable("domain size", "sites", domain_size),
    Observable("energy", "1", energy),
    Observable("interface", "sites", interface),
)
