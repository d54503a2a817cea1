"""The metrics of the paper: expected Wasserstein distance, evidence lower bound, wall-clock."""

from nsbench import hookimpl
from nsbench.components import MetricSpec

_HERE = "nsbench_metrics"


@hookimpl
def nsbench_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(
            "ewd",
            f"{_HERE}.ewd:EWD",
            f"{_HERE}.params:EWDParams",
            "expected Wasserstein distance of final observables, over bins of the conditioning parameter",
        ),
        MetricSpec(
            "elbo",
            f"{_HERE}.elbo:ELBO",
            f"{_HERE}.params:ELBOParams",
            "teacher-forced log-likelihood of test transitions, or a bound on it",
        ),
        MetricSpec(
            "wall_clock",
            f"{_HERE}.wall_clock:WallClock",
            f"{_HERE}.params:WallClockParams",
            "milliseconds a simulated trajectory, and what else a simulator costs",
        ),
    ]
