"""Dendrites: the compiled rules, with checks of what they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from nsbench_dendrite.law import DRIVE, RELAXATION, SHARPNESS, WIDTH, longest_step, strongest_anisotropy
from nsbench_dendrite.rules import grow_all, random_word

LAWS = ("latent", "anisotropy", "angle", "noise")
"""The parameters of the law, in the order in which a row of them is given."""


@dataclass(frozen=True)
class Grid:
    """The grid that is solved, and how it is shown.

    size: shown sites along an axis; block: sites of the grid along the side of one; spacing: Δx; time_step: Δt;
    steps: time steps from one frame to the next; order: j.
    """

    size: int
    block: int
    spacing: float
    time_step: float
    steps: int
    order: int

    @property
    def sites(self) -> int:
        """N, the sites of the grid along an axis."""
        return self.size * self.block

    @property
    def side(self) -> float:
        """The length of the box."""
        return self.sites * self.spacing


def grow(
    p: NDArray[Any], u: NDArray[Any], laws: NDArray[np.float64], grid: Grid, *, keys: NDArray[np.uint64], ticks: int
) -> NDArray[np.float32]:
    """The shown phase and temperature of n crystals, `grid.steps` time steps apart, float32[n, ticks + 1, 2, H, W].

    p, u: [n, N, N], float32 or float64, in which steps are computed: the phases and the undercoolings 1 − T, which are
    overwritten with the last ones. laws: float64[n, 4], a row of LAWS each. keys: of each crystal's random numbers.

    A crystal depends on its own row of these alone: not on the number of threads, nor on what else is computed. Raises
    ValueError for what cannot be solved.
    """
    _check(p, u, laws, grid)
    kind = p.dtype.type
    latent, delta, angle, noise = laws.T
    turns = np.stack([delta * np.cos(grid.order * angle), delta * np.sin(grid.order * angle)], axis=1)
    dt, dx = grid.time_step, grid.spacing
    fixed = (dt / RELAXATION, WIDTH**2 / (2 * dx**2), DRIVE / np.pi, SHARPNESS, dt / dx**2, grid.order)
    frames = np.empty((len(p), ticks + 1, 2, grid.size, grid.size), np.float32)
    own = np.stack([latent, noise], axis=1).astype(kind)
    with numba.parallel_chunksize(1):
        grow_all(p, u, own, turns.astype(kind), tuple(map(kind, fixed)), keys, grid.steps, frames)
    return frames


def keys_of(seed: int, first: int, count: int) -> NDArray[np.uint64]:
    """The keys of the random numbers of crystals first, …, first + count − 1, uint64[count]: of (seed, place)."""
    key = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    return np.array([random_word(key, np.uint64(first + k)) for k in range(count)], np.uint64)


def _check(p: NDArray[Any], u: NDArray[Any], laws: NDArray[np.float64], grid: Grid) -> None:
    expected = (len(laws), grid.sites, grid.sites)
    if p.shape != expected or u.shape != expected or p.dtype != u.dtype or p.dtype.kind != "f":
        raise ValueError(
            f"p and u must both be floats {list(expected)}, got {p.dtype}{list(p.shape)} and {u.dtype}{list(u.shape)}"
        )
    if laws.shape[1:] != (len(LAWS),) or not np.isfinite(laws).all():
        raise ValueError(f"laws must be rows of finite {', '.join(LAWS)}, got {list(laws.shape)}")
    if not len(laws):
        return
    latent, delta, _, noise = laws.T
    bound = strongest_anisotropy(grid.order)
    if (latent < 0).any() or (noise < 0).any() or (delta < 0).any() or (delta >= bound).any():
        raise ValueError(
            f"latent and noise must be >= 0 and anisotropy in [0, 1/(j² − 1) = {bound:.4g}), got {latent.min():g}, "
            f"{noise.min():g} and {delta.min():g} to {delta.max():g}"
        )
    longest = longest_step(grid.spacing, grid.order, float(delta.max()), float(noise.max()), float(latent.max()))
    if grid.time_step > longest:
        raise ValueError(f"time_step must be at most {longest:.4g} for stable steps, got {grid.time_step:g}")
