"""Dendrites by plain numpy, written from the equations alone: a second implementation, and a picture of the first one.

    python benchmarks/plain_dendrite.py docs/dendrite.png

The equations are those of docs/dendrite.md. A step is a function of the fields and of a random number a site, so that
both implementations can be given the same ones.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plain_grains import words
from workload import Workload

WIDTH, RELAXATION, DRIVE, SHARPNESS = 0.01, 0.0003, 0.9, 10.0
LEAST = 2.0**-20

Fields = NDArray[Any]


def walled(field: Fields, rows: int = 1, columns: int = 1) -> Fields:
    """A field [n, N, N] with a ring of ghosts: the outermost sites, times −1 beyond rows or columns where told."""
    wide = np.pad(field, ((0, 0), (1, 1), (1, 1)), "edge")
    wide[:, [0, -1]] *= rows
    wide[:, :, [0, -1]] *= columns
    return wide


def step(p: Fields, u: Fields, laws: NDArray[np.float64], chi: Fields, order: int, dt: float, dx: float) -> Any:
    """(p, u) after a step of explicit Euler, [n, N, N] each. laws: [n, 4], K, δ, θ0 and a; chi: [n, N, N]."""
    latent, delta, angle, noise = laws.T.astype(p.dtype)[:, :, None, None]
    wide = walled(p)
    x = (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) / (2 * dx)
    y = (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) / (2 * dx)
    theta = order * (np.arctan2(y, x) - angle)
    flat = (x == 0) & (y == 0)
    s = np.where(flat, 1, 1 + delta * np.cos(theta))
    slope = np.where(flat, 0, -order * delta * np.sin(theta))

    square = walled(s * s)
    along, across = walled(s * slope * x, rows=-1), walled(s * slope * y, columns=-1)
    east = (square[:, 1:-1, 1:] + square[:, 1:-1, :-1]) / 2 * np.diff(wide[:, 1:-1], axis=2) / dx
    east -= (across[:, 1:-1, 1:] + across[:, 1:-1, :-1]) / 2
    north = (square[:, 1:, 1:-1] + square[:, :-1, 1:-1]) / 2 * np.diff(wide[:, :, 1:-1], axis=1) / dx
    north += (along[:, 1:, 1:-1] + along[:, :-1, 1:-1]) / 2
    flow = WIDTH**2 * (np.diff(east, axis=2) + np.diff(north, axis=1)) / dx

    m = DRIVE / np.pi * np.arctan(SHARPNESS * u)
    new = p + dt / RELAXATION * (flow + p * (1 - p) * (p - 0.5 + m + noise * chi))
    new[new < LEAST] = 0
    heat = walled(u)
    spread = heat[:, 1:-1, 2:] + heat[:, 1:-1, :-2] + heat[:, 2:, 1:-1] + heat[:, :-2, 1:-1] - 4 * u
    return new, u + dt / dx**2 * spread - latent * (new - p)


def noise(keys: NDArray[np.uint64], time: int, sites: int) -> NDArray[np.float64]:
    """The random numbers in (−½, ½) of a step, float64[n, N, N]: 16 bits each of a hash of (key, step, place)."""
    count = (sites + 3) // 4
    place = (time * sites + np.arange(sites))[:, None] * count + np.arange(count)
    bits = words(keys[:, None, None], place.astype(np.uint64)).astype("<u8").view("<u2")
    return (bits[:, :, :sites] + 0.5) / 2**16 - 0.5


def grown(
    p: Fields,
    u: Fields,
    laws: NDArray[np.float64],
    keys: NDArray[np.uint64],
    steps: int,
    *,
    order: int = 4,
    dt: float = 6.25e-5,
    dx: float = 0.02,
) -> Any:
    """(p, u) after that many steps."""
    for k in range(steps):
        p, u = step(p, u, laws, noise(keys, k, p.shape[1]).astype(p.dtype), order, dt, dx)
    return p, u


def workload() -> Workload:
    """Dendrites at the size of suites/dendrite.yaml: 20 ticks of 24 crystals; plain: two ticks of eight of them.

    Operations of a site: 7 of heat wherever it is, and 110 of the phase on the interface, which is 0.28 of the box.
    Bytes: p and u, loaded and stored, single precision.
    """
    from nsbench_dendrite.kernel import Grid, grow, keys_of
    from nsbench_dendrite.starts import nuclei

    rng, n = np.random.default_rng(0), 24
    grid = Grid(size=32, block=3, spacing=0.02, time_step=6.25e-5, steps=64, order=4)
    laws = np.stack([rng.uniform(0.8, 2, n), rng.uniform(0.01, 0.05, n), np.zeros(n), rng.uniform(0.2, 0.8, n)], axis=1)
    start = nuclei(rng.integers(1, 3, n), rng.uniform(0.1, 0.2, n), np.arange(n, dtype=float), grid).astype(np.float32)
    keys = keys_of(0, 0, n)

    def compiled() -> int:
        grow(start.copy(), np.ones_like(start), laws, grid, keys=keys, ticks=20)
        return n * 20 * grid.steps * grid.sites**2

    def plain() -> int:
        grown(start[:8], np.ones_like(start[:8]), laws[:8], keys[:8], 2 * grid.steps)
        return 8 * 2 * grid.steps * grid.sites**2

    return Workload("dendrite", compiled, plain, operations=38, bytes=16)


def picture(path: str) -> None:
    """A grid of dendrites when heat has diffused for the same time: latent heats by anisotropies."""
    import matplotlib.pyplot as plt

    from nsbench_dendrite.kernel import Grid, grow, keys_of

    grid = Grid(size=256, block=1, spacing=0.02, time_step=6.25e-5, steps=64, order=4)
    latents, anisotropies = (1.2, 1.5, 1.8, 2.1), (0.005, 0.025, 0.05)
    laws = np.array([[k, d, 0, 0.5] for d in anisotropies for k in latents])
    place = (np.arange(grid.sites) + 0.5) * grid.spacing - grid.side / 2
    p = np.repeat(1 / (1 + np.exp((np.hypot(place[:, None], place) - 0.15) / 0.014))[None], len(laws), axis=0)
    u = np.ones_like(p)
    grow(p, u, laws, grid, keys=keys_of(0, 0, len(laws)), ticks=38)
    figure, axes = plt.subplots(len(anisotropies), len(latents), figsize=(8, 6.4), layout="constrained")
    for axis, phase, cold, (latent, delta, _, _) in zip(axes.flat, p, u, laws, strict=True):
        axis.imshow(1 - cold, cmap="inferno", vmin=0, vmax=1.1)
        axis.contour(phase, [0.5], colors="white", linewidths=0.7)
        axis.set_title(f"K = {latent:g}, δ = {delta:g}", fontsize=9)
        axis.set_axis_off()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    picture(sys.argv[1])
