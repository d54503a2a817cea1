"""The equation of Cahn, Hilliard and Cook in exponential time steps, compiled.

    ∂φ/∂t = ∇²(φ³ − φ − ∇²φ) + √(2ε) ∇·ξ,   ψ = φ − c,   c the mean of φ

In Fourier space, ω = k²(1 − 3c² − k²) being the rate at which small waves grow, a step of length h is

    ψ̂ ← e^(ωh) ψ̂ − k² (e^(ωh) − 1)/ω · F[ψ³ + 3cψ²] + √(ε k² (e^(2ωh) − 1)/ω) ξ̂

What is linear in ψ, its noise included, is exact for every h; the rest is frozen during a step (exponential Euler,
order 1: Cox & Matthews 2002; Jentzen & Kloeden 2009, with noise). F is pseudo-spectral on the sites. The wave k = 0 is
never touched: the mean is what it was.

LANES trajectories are one block, side by side in each vector: see ``nsbench_spinodal.fourier`` for the transforms and
their order of wave numbers. A block is passed over twice a step, column by column (φ back from its waves, the cube,
its waves) and row by row (the waves' step).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nsbench_spinodal.fourier import LANES, backward, forward
from nsbench_spinodal.noise import GOLDEN, draw


class Law(NamedTuple):
    """The numbers that a block's steps need; the first three multiply the waves of a row, by |k_y| and place.

    keep       e^(ωh), float32[n/2 + 1, n · LANES].
    push       −k² (e^(ωh) − 1)/ω, likewise.
    shake      the standard deviation of a wave's noise, likewise.
    tripled    3c, float32[n · LANES].
    positions  of the random numbers of a row, uint64[n/2 · LANES].
    """

    keep: NDArray[np.float32]
    push: NDArray[np.float32]
    shake: NDArray[np.float32]
    tripled: NDArray[np.float32]
    positions: NDArray[np.uint64]


@njit(cache=True)
def show(values, scale, column):
    """Write scale · values to a column of a frame, float32[LANES, n]."""
    for y in range(column.shape[1]):
        for lane in range(LANES):
            column[lane, y] = values[y * LANES + lane] * scale


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def cube(values, tripled, scale):
    """Replace values by ψ³ + 3cψ², ψ = scale · values."""
    for i in range(values.size):
        psi = values[i] * scale
        values[i] = psi * psi * (psi + tripled[i])


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def step_waves(waves, cubes, keep, push):
    """The waves of a row after a step without noise, in place."""
    for i in range(waves.size):
        waves[i] = keep[i] * waves[i] + push[i] * cubes[i]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def step_noisy_waves(waves, cubes, gaussian, keep, push, shake):
    """The waves of a row after a step, in place."""
    for i in range(waves.size):
        waves[i] = keep[i] * waves[i] + push[i] * cubes[i] + shake[i] * gaussian[i]


@cache
def compiled(size: int) -> Callable[..., None]:
    """The function that takes a block of LANES trajectories on size × size sites through time.

    Called with (waves, law, noisy, steps, frames): waves, float32[n · n · LANES], are those of ψ by k_y, k_x and
    trajectory, at the start and then at the end; frames, float32[LANES, T + 1, n, n], is filled with ψ from the start
    on, `steps` steps apart.
    """
    half, row, pitch = size // 2, size * LANES, (size + 1) * LANES  # columns n · LANES apart would share cache lines
    scale = np.float32(1 / size**2)

    @njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
    def evolve(waves, law, noisy, steps, frames):
        work, line, gaussian = np.empty(size * pitch, np.float32), np.empty(row, np.float32), np.empty(row, np.float32)
        for step in range((frames.shape[1] - 1) * steps + 1):
            for y in range(size):
                if step > 0:
                    wave, m = waves[y * row : (y + 1) * row], min(y, size - y)
                    forward(size, work, y * pitch, LANES, line, 0, LANES)
                    if noisy:
                        draw(law.positions, np.uint64((step * size + y) * half) * GOLDEN, gaussian)
                        step_noisy_waves(wave, line, gaussian, law.keep[m], law.push[m], law.shake[m])
                    else:
                        step_waves(wave, line, law.keep[m], law.push[m])
                backward(size, waves, y * row, LANES, work, y * pitch, LANES)
            for x in range(size):
                backward(size, work, x * LANES, pitch, line, 0, LANES)
                if step % steps == 0:
                    show(line, scale, frames[:, step // steps, :, x])
                cube(line, law.tripled, scale)
                forward(size, line, 0, LANES, work, x * LANES, pitch)

    return evolve
