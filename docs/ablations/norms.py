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
from nsbench.neural.networks.layers import GroupNorm
from nsbench.outcomes.stored import StoredResults
from nsbench.trajectories.growth import GrowthTrajectories

SUITE = Path(__file__).parents[2] / "suites" / "resolution.yaml"
NEAR = 16
"""Rows and columns from the seed within which a first frame may grow."""


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
    stored = StoredResults(nsbench.open_session(SUITE, root))
    trial = next(trial for trial in stored.plan.trials if trial.id == "snow64/cgne-laptop/r0")
    test, model = stored.test(trial.data), stored.artifact(trial.model)
    if test is None or model is None:
        raise SystemExit(f"{root}: holds no CGNE of {SUITE.name}; nsbench run it first")
    simulator = nsbench.load("simulator", trial.part.name, **trial.part.params)
    simulator.load(model.folder / "weights")
    horizon = stored.plan.suite.protocol.horizon
    for name, forward in (("the whole lattice", GroupNorm.forward), ("a quarter", over_a_quarter)):
        with patch.object(GroupNorm, "forward", forward):
            rollouts = simulator.rollout(test.start(), horizon, np.random.default_rng(0)).stopped()
        assert isinstance(rollouts, GrowthTrajectories)
        first = rollouts.arrival == 1  # [n, H, W]; the seed is at (0, 0)
        far = (first.sum() - first[:, :NEAR, :NEAR].sum()) / len(rollouts)
        print(f"norms over {name}: in the first frame {far:.1f} sites attach {NEAR} or more rows or columns off")
        evidence = nsbench.Evidence(rollouts, 1)
        for metric in ("ewd", "crps", "spread_skill", "orphans"):
            score = nsbench.load("metric", metric).score(evidence, test, np.random.default_rng(0))
            print(f"  {metric}: {score.value:.4g} {score.interval}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
