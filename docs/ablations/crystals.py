"""How the crystals of suites/resolution.yaml end, each simulator's beside the truth's of the same case.

    python docs/ablations/crystals.py nsbench-out

Draws crystals.png from the rollouts in a workspace's store.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import nsbench
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import summarise
from nsbench.report.page.gather import gather
from nsbench.report.pictures import case_title, spread
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.plane import draw_sites

HERE = Path(__file__).parent
SUITE = HERE.parents[1] / "suites" / "resolution.yaml"
SHOWN = ("truth", "cgne-laptop", "pns-laptop", "stochastic-nca", "frozen-neighbour")
SIZES = (32, 64, 128)


def main(root: Path) -> None:
    stored = StoredResults(nsbench.open_session(SUITE, root))
    summary = summarise(stored)
    figure, axes = plt.subplots(len(SIZES), len(SHOWN), figsize=(11, 6.8), layout="constrained")
    for size, row in zip(SIZES, axes, strict=True):
        pictures = gather(stored, summary, f"snow{size}")
        if pictures is None:
            raise SystemExit(f"{root}: holds no rollouts on snow{size}; nsbench run {SUITE.name} first")
        truth = pictures.truth
        case = spread(truth, 3)[1]
        sides = {"truth": truth} | {one.name: one.rollouts for one in pictures.shown}
        for name, axis in zip(SHOWN, row, strict=True):
            side = sides[name]
            assert isinstance(side, GrowthTrajectories)
            arrival = np.where(side.arrival[case] < 0, np.nan, side.arrival[case].astype(float))
            axis.imshow(draw_sites(arrival, side.domain.lattice, 400, np.nan), cmap="Blues_r")
            axis.set_title(f"{name}, {size}: {int(side.lengths[case]) - 1} frames", fontsize=9)
            axis.set_xticks([], [])
            axis.set_yticks([], [])
        row[0].set_ylabel(case_title(truth.domain, truth.params[case]))
    figure.savefig(HERE / "crystals.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
