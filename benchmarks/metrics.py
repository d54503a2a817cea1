"""What each metric costs: processor seconds for one simulator on the test cases of suites/snow.yaml.

    python benchmarks/metrics.py [--parameters 64] [--repeats 8] [--members 1] [metric ...]

One simulator's rollouts (the truth redrawn, 32 × 32) against the truth, figures and bootstrap included, after
a first call that pays for imports. Memory is the process's largest so far, data and libraries included.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from nsbench.components.evidence import Cost, Evidence
from nsbench.registry.loading import build
from nsbench.registry.registry import installed
from nsbench_lca.dataset import LCADataset
from nsbench_lca.params import DatasetParams, SimulatorParams
from nsbench_lca.simulator import LCASimulator

LEFT_OUT = ("elbo", "wall_clock", "fid")
"""What needs more than rollouts: the first two only average what is there; the last needs weights."""


def main() -> None:
    registry = installed()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metric", nargs="*", default=[n for n in registry.names("metric") if n not in LEFT_OUT])
    for option, default in (("parameters", 64), ("repeats", 8), ("members", 1)):
        parser.add_argument(f"--{option}", type=int, default=default)
    chosen = parser.parse_args()
    test = {"parameters": chosen.parameters, "repeats": chosen.repeats}
    truth = LCADataset(DatasetParams(test=test)).prepare("test", np.random.default_rng(0)).framed(10, 64)
    start = truth.start().select(np.repeat(np.arange(len(truth)), chosen.members))
    rollouts = LCASimulator(SimulatorParams()).rollout(start, 64, np.random.default_rng(1)).stopped()
    cost = Cost(ms_per_trajectory=1.0, batch=1, ms_per_trajectory_alone=1.0, threads=1, device="cpu")
    few = np.arange(2 * chosen.repeats)
    small = rollouts.select(np.arange(len(few) * chosen.members))
    whole, total = Evidence(rollouts, chosen.members, cost), 0.0
    print(f"{len(truth):,} cases, {len(rollouts):,} rollouts, {int(truth.lengths.max()) - 1} lead times")
    for name in chosen.metric:
        metric = build("metric", registry.spec("metric", name), {})
        metric.score(Evidence(small, chosen.members, cost), truth.select(few), np.random.default_rng(0))
        before = time.process_time()
        metric.score(whole, truth, np.random.default_rng(0))
        seconds = time.process_time() - before
        total += seconds
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{name:<20} {seconds:6.2f} s   {peak:.2f} GiB", flush=True)
    print(f"{'together':<20} {total:6.2f} s")


if __name__ == "__main__":
    main()
