"""The automaton on the hexagon in plain numpy, from any cluster: the rules as one writes them down.

    python benchmarks/plain_open.py docs/open.png

draws crystals of the dataset lca-open: one cluster under twelve laws, and four branches of one crystal in mid-growth.
Gravner & Griffeath, "Modeling snow crystal growth II", Physica D 237 (2008), with the noise of its section III.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from workload import Workload

Array = NDArray[np.float64]

LAWS = ("alpha", "beta", "gamma", "theta", "kappa", "mu", "rho", "sigma")


def around(sites: NDArray) -> NDArray:
    """The sum over the six neighbours (i±1, j), (i, j±1), ±(1, 1) of sites [n, H, W]; nothing lies beyond the map."""
    p = np.pad(sites, ((0, 0), (1, 1), (1, 1)))
    return p[:, 2:, 1:-1] + p[:, :-2, 1:-1] + p[:, 1:-1, 2:] + p[:, 1:-1, :-2] + p[:, 2:, 2:] + p[:, :-2, :-2]


def radius(size: int) -> NDArray[np.int64]:
    """The steps from the centre (N, N) of a map of 2N × 2N sites."""
    i, j = np.indices((2 * size, 2 * size)) - size
    return np.maximum(np.maximum(abs(i), abs(j)), abs(i - j))


class Crystals:
    """n crystals on hexagons of N = size: attached, boundary mass, crystal mass and vapour, [n, 2N, 2N] each."""

    def __init__(self, laws: Array, clusters: NDArray[np.bool_], size: int) -> None:
        self.law = {name: laws[:, k, None, None] for k, name in enumerate(LAWS)}
        distance = radius(size)
        self.inner = distance < size - 1
        self.attached = clusters.copy()
        self.boundary = np.zeros(clusters.shape)
        self.crystal = clusters.astype(float)
        self.vapour = np.where((distance < size) & ~clusters, self.law["rho"], 0.0)

    def step(self, signs: Array) -> NDArray[np.bool_]:
        """One step with noise of those signs, ±1 a site; returns the sites that attach."""
        a, law = self.attached, self.law
        free = self.inner & ~a
        k = around(a.astype(np.int8))
        d = np.where(free, (around(self.vapour) + (k + 1) * self.vapour) / 7, self.vapour)
        front = free & (k >= 1)
        b = np.where(front, self.boundary + (1 - law["kappa"]) * d, self.boundary)
        c = np.where(front, self.crystal + law["kappa"] * d, self.crystal)
        d[front] = 0
        poor = around(d) < law["theta"]
        few = (k <= 2) & (b >= law["beta"])
        three = (k == 3) & ((b >= 1) | ((b >= law["alpha"]) & poor))
        new = front & (few | three | (k >= 4))
        c[new] += b[new]
        b[new] = 0
        melting = front & ~new
        d = np.where(melting, d + law["mu"] * b + law["gamma"] * c, d)
        self.boundary = np.where(melting, b - law["mu"] * b, b)
        self.crystal = np.where(melting, c - law["gamma"] * c, c)
        self.attached = a | new
        self.vapour = np.where(self.inner & ~self.attached, d * (1 + law["sigma"] * signs), d)
        return new


def grow_plainly(
    law: Array, cluster: NDArray[np.bool_], size: int, signs: Callable[[int], Array], margin: int, most: int = 10_000
) -> tuple[NDArray[np.int64], int]:
    """(arrival map, steps) of one crystal, grown until a site N − margin steps from the centre attaches."""
    crystals = Crystals(law[None], cluster[None], size)
    arrival, stop = np.where(cluster, 0, -1), radius(size) >= size - margin
    for step in range(1, most + 1):
        new = crystals.step(signs(step))[0]
        arrival[new] = step
        if (new & stop).any():
            return arrival, step
    return arrival, most


SIZE, MARGIN = 24, 5
"""Of suites/snow-open.yaml."""


def cases(count: int) -> tuple[Array, NDArray[np.bool_], Array]:
    """(laws, clusters, histories) of cases as the suite draws them, all from their clusters on."""
    from nsbench_lca.clusters import random_clusters

    rng = np.random.default_rng(0)
    laws = np.tile([0.14, 1.1, 7e-5, 8.5e-3, 7e-3, 4.8e-2, 0.5, 0.01], (count, 1))
    for name, low, high in (("rho", 0.35, 0.64), ("beta", 1.05, 1.5), ("sigma", 0.01, 0.05)):
        laws[:, LAWS.index(name)] = rng.uniform(low, high, count)
    histories = rng.integers(2**53, size=count).astype(float)
    return laws, random_clusters(histories, rng.integers(1, 6, count), 0.5, radius=4, size=SIZE), histories


def workload() -> Workload:
    """Growth from clusters at the size of suites/snow-open.yaml, with noise.

    A site-step takes six additions, a fused multiplication and addition (two), a multiplication, and one more for the
    noise; it loads the vapour and the weight of a site and stores its vapour, if all else stays in registers.
    """
    from nsbench_lca.branches import grow_branches

    free = int((radius(SIZE) < SIZE - 1).sum())
    laws, clusters, histories = cases(1200)

    def compiled() -> int:
        growth = grow_branches(laws, clusters, 0 * histories, histories, size=SIZE, seed=0, stop_margin=MARGIN)
        return int(growth.steps.sum()) * free

    def plain() -> int:
        count, steps = 8, 100
        crystals, rng = Crystals(laws[:count], clusters[:count], SIZE), np.random.default_rng(0)
        for _ in range(steps):
            crystals.step(rng.integers(0, 2, clusters[:count].shape) * 2.0 - 1.0)
        return count * steps * free

    return Workload("open", compiled, plain, operations=10, bytes=12)


def draw(path: str) -> None:
    """One cluster under twelve laws, and four futures of one crystal in mid-growth, into a picture."""
    import matplotlib.pyplot as plt

    from nsbench.trajectories.plane import draw_sites
    from nsbench_lca.branches import grow_branches
    from nsbench_lca.clusters import random_clusters

    size, margin, rows, columns = 48, 6, (1.05, 1.3, 1.6), (0.36, 0.44, 0.54, 0.64)
    law = np.tile([0.14, 1.1, 7e-5, 8.5e-3, 7e-3, 4.8e-2, 0.44, 0.03], (16, 1))
    law[:12, LAWS.index("beta")] = np.repeat(rows, 4)
    law[:12, LAWS.index("rho")] = np.tile(columns, 3)
    histories, after = np.full(16, 16.0), np.repeat([0.0, 0.35], [12, 4])
    clusters = random_clusters(histories, np.full(16, 4), 0.5, radius=7, size=size)
    growth = grow_branches(law, clusters, after, histories, size=size, seed=1, stop_margin=margin)
    sheet, axes = plt.subplots(4, 4, figsize=(9, 8.6), facecolor="black")
    for k, (axis, arrival, steps) in enumerate(zip(axes.flat, growth.arrival, growth.steps, strict=True)):
        tone = np.where(arrival < 0, np.nan, 0.35 + 0.65 * arrival / steps)
        image = plt.get_cmap("Blues_r")(draw_sites(tone, "hexagon", 240, outside=np.nan))
        missing = np.isnan(draw_sites(tone, "hexagon", 240, outside=np.nan))
        begun = draw_sites((arrival == 0).astype(float), "hexagon", 240, outside=0.0) > 0.5
        image[missing], image[begun] = (0, 0, 0, 1), (1.0, 0.6, 0.2, 1)
        axis.imshow(image)
        title = f"ρ = {columns[k % 4]:g}, β = {rows[k // 4]:g}" if k < 12 else f"branch {k - 11} of one start"
        axis.set_title(f"{title}: {steps} steps", color="white", fontsize=8)
        axis.axis("off")
    sheet.tight_layout()
    sheet.savefig(path, dpi=80)


if __name__ == "__main__":
    draw(sys.argv[1])
