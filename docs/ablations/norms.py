"""What group norms over the whole lattice do to CGNE on a lattice twice as large as those it was trained on.

    python docs/ablations/norms.py nsbench-out

CGNE of suites/resolution.yaml, trained at N = 32, simulates the test cases at 64 twice: as it is, and with the means
and deviations of its group norms taken over a quarter of the lattice alone, the 32 × 32 sites around the crystal's seed
and what they become at coarser resolutions. Nothing is trained. Prints, of both, how many sites attach in the first
frame far from the seed, and scores.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

import nsbench
from nsbench.components.evidence import Cost, Evidence
from nsbench.neural.layers import GroupNorm
from nsbench.registry.registry import installed
from nsbench.results.stored import Reader
from nsbench.stages.workshop import workshop_of
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.trajectories.growth import GrowthTrajectories

SUITE = Path(__file__).parents[2] / "suites" / "resolution.yaml"
NEAR = 16
"""Rows and columns from the seed within which a first frame may grow."""

COST = Cost(ms_per_trajectory=1.0, batch=1, ms_per_trajectory_alone=1.0, threads=1, device="cpu")
"""Not looked at."""


def over_a_quarter(norm: GroupNorm, maps: Tensor) -> Tensor:
    """Group norm of [b, C, H, W] with the statistics of the corner [b, C, H/2, W/2] around (0, 0)."""
    batch, channels, height, width = maps.shape
    corner = maps[..., : height // 2, : width // 2].float().reshape(batch, norm.num_groups, -1)
    each = channels // norm.num_groups
    mean, variance = (
        found.repeat_interleave(each, 1)[..., None, None] for found in (corner.mean(-1), corner.var(-1, correction=0))
    )
    scaled = (maps - mean) / (variance + norm.eps).sqrt()
    return (scaled * norm.weight[:, None, None] + norm.bias[:, None, None]).to(maps.dtype)


def main(root: Path) -> None:
    registry, workspace = installed(), Workspace(root.resolve())
    plan = make_plan(read_suite(SUITE, registry, ()), registry)
    bench = workshop_of(Session(plan, registry, workspace), lambda event: None)
    trial = next(trial for trial in plan.trials if trial.id == "snow64/cgne/r0")
    test, model = Reader(bench).test(trial), bench.store.find(trial.model)
    if test is None or model is None:
        raise SystemExit(f"{root}: holds no CGNE of {SUITE.name}; nsbench run it first")
    simulator = bench.component(trial.part)
    simulator.load(model.folder / "weights")
    for name, forward in (("the whole lattice", GroupNorm.forward), ("a quarter", over_a_quarter)):
        with patch.object(GroupNorm, "forward", forward):
            rollouts = simulator.rollout(test.start(), plan.suite.protocol.horizon, np.random.default_rng(0)).stopped()
        assert isinstance(rollouts, GrowthTrajectories)
        first = rollouts.arrival == 1  # [n, H, W]; the seed is at (0, 0)
        far = (first.sum() - first[:, :NEAR, :NEAR].sum()) / len(rollouts)
        print(f"norms over {name}: in the first frame {far:.1f} sites attach {NEAR} or more rows or columns off")
        evidence = Evidence(rollouts, 1, COST)
        for metric in ("ewd", "crps", "spread_skill", "orphans"):
            score = nsbench.load("metric", metric).score(evidence, test, np.random.default_rng(0))
            print(f"  {metric}: {score.value:.4g} {score.interval}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
