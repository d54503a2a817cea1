"""Snow crystals grown by the local cellular automaton: checks, and the choice of device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nsbench_lca.layout import Symmetry, layout
from nsbench_lca.params import Law
from nsbench_lca.rules import grow_all, memory

LAWS: tuple[Law, ...] = ("alpha", "beta", "gamma", "theta", "kappa", "mu", "rho", "sigma")
"""The parameters of the rules, in the order in which the compiled functions take them."""

Precision = Literal["float32", "float64"]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, eq=False)
class Growth:
    """The growth of n crystals.

    arrival: int32[n, H, W]; 0 at the seed, s >= 1 where the site attached in step s, −1 for never. H = W = N
             for quadrants, 2N for whole crystals.
    steps:   int32[n], the number of steps grown.
    """

    arrival: NDArray[np.int32]
    steps: NDArray[np.int32]


def grow(
    rho: ArrayLike,
    *,
    size: int,
    sigma: ArrayLike,
    seed: int,
    stop_margin: int = 5,
    max_steps: int = 10_000,
    alpha: ArrayLike = 0.14,
    beta: ArrayLike = 1.1,
    gamma: ArrayLike = 7e-5,
    theta: ArrayLike = 8.5e-3,
    kappa: ArrayLike = 7e-3,
    mu: ArrayLike = 4.8e-2,
    symmetry: Symmetry = "quadrant",
    first: int = 0,
    precision: Precision = "float32",
    device: Device = "cpu",
) -> Growth:
    """Grow one crystal for each entry of `rho`, until it comes within `stop_margin` rows of the rim.

    rho: float64[n], vapour density of the start and of the reservoir. The other parameters are numbers,
    or arrays [n] where they differ between crystals. size: N, sites from the centre to the rim, both
    included. sigma: relative noise of the vapour in each step, in [0, 1). symmetry: "quadrant" grows one
    120° sector between mirrors, "none" the whole crystal, whose noise may break the symmetry.

    The crystal at position k depends on `seed`, `first` + k and its own parameters alone: not on the number
    of threads, on the device, nor on what else is grown. `first` lets a large set be grown in parts.

    Raises ValueError for parameters that make no crystal, Unavailable for a device that is not there.
    """
    rho = np.atleast_1d(np.asarray(rho, dtype=np.float64))
    if rho.ndim != 1:
        raise ValueError(f"rho must be one number a crystal, got an array of shape {rho.shape}")
    values = {"alpha": alpha, "beta": beta, "gamma": gamma, "theta": theta, "kappa": kappa, "mu": mu}
    values |= {"rho": rho, "sigma": sigma}
    laws = np.stack([np.broadcast_to(np.asarray(values[name], np.float64), rho.shape) for name in LAWS], axis=1)
    return grow_laws(
        laws,
        size=size,
        seed=seed,
        stop_margin=stop_margin,
        max_steps=max_steps,
        symmetry=symmetry,
        first=first,
        precision=precision,
        device=device,
    )


def grow_laws(
    laws: NDArray[np.float64],
    *,
    size: int,
    seed: int,
    stop_margin: int,
    max_steps: int,
    symmetry: Symmetry = "quadrant",
    first: int = 0,
    precision: Precision = "float32",
    device: Device = "cpu",
) -> Growth:
    """Grow one crystal for each row of parameters, float64[n, 8] in the order of LAWS: see ``grow``."""
    check(laws, size, stop_margin, max_steps)
    lattice = layout(size, symmetry, stop_margin)
    arrival = np.full((len(laws), lattice.side, lattice.side), -1, dtype=np.int32)
    steps = np.zeros(len(laws), dtype=np.int32)
    if device == "cuda":
        from nsbench_lca.cuda import grow_all as grow_on_gpu

        grow_on_gpu(laws.astype(precision), stream(seed), first, lattice, max_steps, arrival, steps)
    else:
        with numba.parallel_chunksize(1):
            grow_all(laws.astype(precision), stream(seed), first, memory(lattice), max_steps, arrival, steps)
    return Growth(arrival, steps)


def check(laws: NDArray[np.float64], size: int, stop_margin: int, max_steps: int) -> None:
    """Raise ValueError for parameters that make no crystal."""
    if size < 4:
        raise ValueError(f"size must be >= 4, got {size}")
    if not 2 <= stop_margin < size:
        raise ValueError(f"stop_margin must be in [2, size), got {stop_margin} with size {size}")
    if max_steps < 1:
        raise ValueError(f"max_steps must be >= 1, got {max_steps}")
    if not np.isfinite(laws).all() or (laws < 0).any():
        raise ValueError("the parameters of growth must be finite and >= 0")
    for name in ("gamma", "kappa", "mu", "sigma"):
        worst = laws[:, LAWS.index(name)].max(initial=0.0)
        if worst >= 1:
            raise ValueError(f"{name} must be in [0, 1), got {worst:g}")


def stream(seed: int) -> np.uint64:
    """The key of a seed's random numbers."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
