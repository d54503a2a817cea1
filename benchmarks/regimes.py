"""Do the crystals look like those of the paper? Draws eight of its parameter sets on the full lattice.

    python benchmarks/regimes.py docs/regimes.png

Parameters of figures of Gravner & Griffeath, "Modeling snow crystal growth II", Physica D 237 (2008).
Colour is the step in which a site attached, dark first.
"""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import numpy as np

from nsbench.trajectories.plane import draw_sites
from nsbench_lca.kernel import grow

SIZE = 240

FIGURES = {
    "2, top right": {"rho": 0.8, "beta": 2.9, "alpha": 0.006, "theta": 0.004, "kappa": 0.05, "mu": 0.015, "gamma": 1e-4},
    "2, bottom right": {"rho": 0.64, "beta": 1.6, "alpha": 0.21, "theta": 0.0205, "kappa": 0.07, "mu": 0.015, "gamma": 5e-5},
    "4": {"rho": 0.58, "beta": 3.2, "alpha": 0, "theta": 0, "kappa": 0, "mu": 0, "gamma": 0},
    "6b": {"rho": 0.8, "beta": 2.6, "alpha": 0, "theta": 0, "kappa": 0.05, "mu": 0.015, "gamma": 1e-4},
    "9a": {"rho": 0.4, "beta": 1.3, "alpha": 0.08, "theta": 0.025, "kappa": 0.003, "mu": 0.07, "gamma": 5e-5},
    "9f": {"rho": 0.5, "beta": 1.3, "alpha": 0.08, "theta": 0.025, "kappa": 0.003, "mu": 0.07, "gamma": 5e-5},
    "13, left": {"rho": 0.65, "beta": 1.75, "alpha": 0.2, "theta": 0.026, "kappa": 0.15, "mu": 0.015, "gamma": 1e-4},
    "13, middle": {"rho": 0.36, "beta": 1.09, "alpha": 0.01, "theta": 0.0745, "kappa": 1e-4, "mu": 0.14, "gamma": 1e-5},
}  # fmt: skip


def main() -> None:
    laws = {name: [figure[name] for figure in FIGURES.values()] for name in FIGURES["4"]}
    growth = grow(**laws, size=SIZE, sigma=0, seed=0, stop_margin=8, max_steps=100_000, symmetry="none")
    sheet, axes = plt.subplots(2, 4, figsize=(12, 6.6), facecolor="black")
    for axis, title, arrival, steps in zip(axes.flat, FIGURES, growth.arrival, growth.steps, strict=True):
        tone = np.where(arrival < 0, np.nan, 0.25 + 0.75 * arrival / steps)
        axis.imshow(draw_sites(tone, "hexagon", 560, outside=np.nan), cmap="Blues_r", vmin=0, vmax=1)
        axis.set_title(f"figure {title}: {steps} steps", color="white", fontsize=9)
        axis.axis("off")
        print(f"{title:16} {(arrival >= 0).sum():6} sites in {steps} steps")
    sheet.tight_layout()
    sheet.savefig(sys.argv[1], dpi=90)


if __name__ == "__main__":
    main()
