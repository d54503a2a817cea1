"""Fields that separate by the equation of Cahn, Hilliard and Cook: checks, and blocks shared out among threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nsbench_spinodal.fourier import LANES
from nsbench_spinodal.noise import GOLDEN, random_word
from nsbench_spinodal.params import fault
from nsbench_spinodal.rules import Law, compiled


def evolve(
    start: NDArray[np.floating],
    noise: ArrayLike,
    *,
    frames: int,
    steps: int,
    time_step: float,
    seed: int,
    first: int = 0,
) -> NDArray[np.float32]:
    """The fields that follow each start, float32[n, frames + 1, N, N], the start being the first.

    start: float[n, N, N]. noise: ε, a number or float64[n]. frames: those after the start, `steps` steps of `time_step`
    apart. Its law is that of ``nsbench_spinodal.rules``, c being the mean of each start.

    The field at position k depends on `seed`, `first` + k, its start and its ε alone: not on the number of threads, nor
    on the others. Raises ValueError for what the law cannot be computed with.
    """
    if start.ndim != 3 or start.shape[1] != start.shape[2]:
        raise ValueError(f"starts must be [n, N, N], got {list(start.shape)}")
    count, size = start.shape[:2]
    epsilon = np.broadcast_to(np.asarray(noise, np.float64), count)
    wrong = fault(size, time_step, float(epsilon.max(initial=0.0)))
    if wrong or frames < 0 or steps < 1 or not (epsilon >= 0).all():
        raise ValueError(wrong or f"noise and frames must be >= 0 and steps >= 1, got {frames} frames of {steps} steps")
    mean = start.mean(axis=(1, 2), dtype=np.float64)
    keys = random_word.py_func(_stream(seed) + np.arange(first + 1, first + count + 1).astype(np.uint64) * GOLDEN)
    fields = np.empty((count, frames + 1, size, size), np.float32)

    def block(begin: int) -> None:
        chosen = slice(begin, min(begin + LANES, count))
        c, lanes = _filled(mean[chosen]), np.zeros((LANES, frames + 1, size, size), np.float32)
        law = block_law(size, time_step, c, _filled(epsilon[chosen]), _filled(keys[chosen]))
        waves = _waves(start[chosen] - mean[chosen, None, None])
        compiled(size)(waves, law, bool(epsilon[chosen].any()), steps, lanes)
        fields[chosen] = (lanes + c[:, None, None, None].astype(np.float32))[: chosen.stop - begin]
        fields[chosen, 0] = start[chosen]

    with ThreadPoolExecutor(numba.get_num_threads()) as threads:
        list(threads.map(block, range(0, count, LANES)))
    if not np.isfinite(fields).all():
        raise ValueError(f"the fields grew without bound: {time_step:g} is too long a time step for such starts")
    return fields


def block_law(
    size: int,
    time_step: float,
    mean: NDArray[np.float64],
    epsilon: NDArray[np.float64],
    keys: NDArray[np.uint64],
) -> Law:
    """The law of a block, of the mean, the noise and the key of each of its trajectories, [LANES]."""
    place = np.arange(size)
    place = np.minimum(place, size - place)  # the wave number at each place
    square, half = (2 * np.pi * place / size) ** 2, size // 2
    k2 = (square[: half + 1, None] + square)[:, :, None]  # [n/2 + 1, n, 1]
    share = np.where((place == 0) | (place == half), size, half)  # variance of white noise at a wave, along an axis
    omega = k2 * (1 - 3 * mean**2 - k2)  # [n/2 + 1, n, LANES]
    shake = np.sqrt(2 * epsilon * k2 * _integral(2 * omega, time_step) * (share[: half + 1, None] * share)[:, :, None])
    keep, push = np.exp(omega * time_step), -k2 * _integral(omega, time_step)
    counter = np.arange(1, half + 1).astype(np.uint64)[:, None]
    kept, pushed, shaken = (a.reshape(half + 1, -1).astype(np.float32) for a in (keep, push, shake))
    return Law(
        kept,
        pushed,
        shaken,
        tripled=np.tile(3 * mean, size).astype(np.float32),
        positions=(keys + counter * GOLDEN).ravel(),
    )


def _integral(omega: NDArray[np.float64], time_step: float) -> NDArray[np.float64]:
    """The integral of e^(ωt) over a step, (e^(ωh) − 1)/ω."""
    return np.where(omega == 0, time_step, np.expm1(omega * time_step) / np.where(omega == 0, 1, omega))


def _waves(psi: NDArray[np.float64]) -> NDArray[np.float32]:
    """The waves of up to LANES fields, by k_y, k_x and lane, as ``compiled`` takes them; that of k = 0 is 0."""
    size = psi.shape[1]
    k = np.arange(size)
    angle = 2 * np.pi / size * (np.outer(k, k) % size)
    basis = np.where(k[:, None] <= size // 2, np.cos(angle), np.sin(angle))
    waves = np.zeros((size, size, LANES), np.float32)
    waves[:, :, : len(psi)] = (basis @ psi @ basis.T).transpose(1, 2, 0)
    waves[0, 0] = 0
    return waves.ravel()


def _filled(values: NDArray[Any]) -> NDArray[Any]:
    """The values of a block, with zeros for trajectories that it lacks, [LANES]."""
    return np.concatenate([values, np.zeros(LANES - len(values), values.dtype)])


def _stream(seed: int) -> np.uint64:
    """The key of a seed's random numbers."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
