"""Wall-clock time of a simulated trajectory, beside what the ground truth takes for it."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared.spec import metric_spec

_EXTRAS = {
    "batch": "batch",
    "ms_alone": "ms_per_trajectory_alone",
    "fit_s": "fit_seconds",
    "threads": "threads",
    "jobs": "parallel",
    "truth_ms": "truth_ms_per_trajectory",
    "parameters": "parameters",
    "flops": "flops_per_trajectory",
    "peak_bytes": "peak_bytes",
}
"""Extra -> field of Cost."""


class WallClockParams(Params):
    """No parameters: the protocol says what is measured, and how."""


class WallClock(Metric):
    """Milliseconds a trajectory at the protocol's batch.

    Extras, where known: ratio, the value over the ground truth's (> 1: slower than the ground truth),
    both measured in turn on the same device and threads; ms_alone, at batch 1; fit_s; parameters; flops
    a trajectory; peak_bytes; batch; threads; jobs, how many trials the run had going at once.
    """

    direction = "min"
    unit = "ms"
    needs = frozenset({"cost"})
    columns = (("ratio", "× truth"), ("fit_s", "fit s"), ("parameters", "parameters"))
    anchored = False
    params: WallClockParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        cost = evidence.cost
        assert cost is not None  # it is among the needs
        measured = asdict(cost)
        extras = {name: float(measured[key]) for name, key in _EXTRAS.items() if measured[key] is not None}
        if cost.truth_ms_per_trajectory is not None:
            extras["ratio"] = cost.ms_per_trajectory / cost.truth_ms_per_trajectory
        return Score(cost.ms_per_trajectory, extras=extras)


SPEC = metric_spec(WallClock, WallClockParams, "milliseconds a simulated trajectory, and what else a simulator costs")
