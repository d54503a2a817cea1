"""How fast does the ground truth grow? Milliseconds a trajectory, by size, noise and threads.

    python benchmarks/lca.py

Every setting is run after a warm-up, `ROUNDS` times in turn with the others; the median counts.
"""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median

import numba
import numpy as np

from nsbench.environment import cores, processor
from nsbench_lca.kernel import Growth, grow

ROUNDS = 5
SETTINGS = [
    (size, sigma, threads) for size in (32, 64) for sigma in (0.0, 5e-5, 1e-2) for threads in sorted({1, cores()})
]
CRYSTALS = {32: 512, 64: 128}


def grown(size: int, sigma: float, threads: int) -> tuple[float, Growth]:
    """Seconds for a batch of crystals over the paper's range of ρ, and the crystals."""
    rho = np.linspace(0.35, 0.64, CRYSTALS[size])
    np.random.default_rng(0).shuffle(rho)  # neighbours in a batch take alike long otherwise
    numba.set_num_threads(threads)
    before = time.perf_counter()
    growth = grow(rho, size=size, sigma=sigma, seed=0)
    return time.perf_counter() - before, growth


def main() -> None:
    seconds, growth = defaultdict(list), {}
    for setting in SETTINGS:
        grown(*setting)
    for _ in range(ROUNDS):
        for setting in SETTINGS:
            took, growth[setting] = grown(*setting)
            seconds[setting].append(took)
    print(f"{processor()}, {cores()} cores, numba {numba.__version__}\n")
    print("| size | σ | threads | ms a trajectory | ns a site-step a thread |\n| ---: | ---: | ---: | ---: | ---: |")
    for size, sigma, threads in SETTINGS:
        took, steps = median(seconds[size, sigma, threads]), growth[size, sigma, threads].steps
        each = 1e3 * took / len(steps)
        site_step = 1e9 * took * threads / (float(steps.sum()) * size**2)
        print(f"| {size} | {sigma:g} | {threads} | {each:.3g} | {site_step:.3g} |")


if __name__ == "__main__":
    main()
