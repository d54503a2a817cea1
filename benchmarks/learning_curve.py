"""A score against the transitions that a fit may learn from, and what larger budgets would give.

    python benchmarks/learning_curve.py suites/snow-paper-overnight.yaml --simulator cgne-laptop \
        --metric ewd-authors --transitions 10000 20000 40000 --target 43.8

Each budget is a fit of its own, since schedules are fractions of it; what the workspace holds is not made again.
The scores are taken to follow a power law,

    log score = a + b·log transitions + a residual of constant deviation,

fitted by least squares; intervals are of a further fit, by Student's t with as many degrees of freedom as there are
points over two. No such law holds beyond the floor, and the points say nothing of whether it holds as far as they are
extrapolated: the interval is right if it does.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import nsbench as ns
from nsbench.running.local import Local

Array = NDArray[np.float64]


class PowerLaw:
    """A line through log score against log transitions. n, score: float64[k], k ≥ 3, positive."""

    def __init__(self, n: Array, score: Array) -> None:
        if len(n) < 3 or len(set(n)) < 3:
            raise ValueError("a law and its uncertainty need three budgets at least")
        self.x, y = np.log(n), np.log(score)
        self.slope, self.intercept = np.polyfit(self.x, y, 1)
        self.free = len(n) - 2
        residuals = y - self.intercept - self.slope * self.x
        self.deviation = float(np.sqrt(residuals @ residuals / self.free))

    def at(self, n: Array, level: float = 0.95) -> tuple[Array, Array, Array]:
        """The score of one further fit at each budget, and its interval, float64[...] each."""
        x = np.log(n)
        centre, spread = self.x.mean(), ((self.x - self.x.mean()) ** 2).sum()
        error = self.deviation * np.sqrt(1 + 1 / len(self.x) + (x - centre) ** 2 / spread)
        reach = stats.t.ppf(0.5 + level / 2, self.free) * error
        middle = self.intercept + self.slope * x
        return np.exp(middle), np.exp(middle - reach), np.exp(middle + reach)

    def needed(self, target: float) -> tuple[float, float, float]:
        """The transitions at which the score, and the ends of its interval, reach a target; inf where they never do."""
        grid = np.geomspace(1, 1e12, 200_001)
        found = (grid[curve <= target] for curve in self.at(grid))
        middle, low, high = (float(part[0]) if len(part) else np.inf for part in found)
        return middle, low, high


def scores(options: argparse.Namespace) -> dict[int, tuple[float, float, float]]:
    """transitions -> the score of the simulator with that budget, and its interval over test cases."""
    found: dict[int, tuple[float, float, float]] = {}
    for transitions in sorted(options.transitions):
        changes = [f"budget.transitions={transitions}", *options.set]
        session = ns.open_session(options.suite, options.workspace, changes)
        trial = next(t.id for t in session.plan.trials if t.simulator == options.simulator)
        ns.run(session.only([trial]), executor=partial(Local, parallel=1))
        frame = ns.results(session)
        row = frame[(frame.trial == trial) & (frame.metric == options.metric)].iloc[0]
        found[transitions] = (row.value, row.low, row.high)
        print(f"{transitions:12,}  {row.value:8.4g}  ({row.low:.4g} to {row.high:.4g})", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--simulator", required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--transitions", type=int, nargs="+", required=True)
    parser.add_argument("--target", type=float)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="as of nsbench run")
    options = parser.parse_args()
    print(f"{'transitions':>12}  {options.metric}")
    points = scores(options)
    if len(points) < 3:
        sys.exit("three budgets at least, for a law and its uncertainty")
    law = PowerLaw(np.array(list(points), float), np.array([value for value, _, _ in points.values()]))
    print(f"score ∝ transitions^{law.slope:.3f}, residuals {100 * law.deviation:.1f} %")
    for n in max(points) * np.array([2.0, 5.0, 10.0, 100.0]):
        middle, low, high = law.at(np.array(n))
        print(f"{n:12,.0f}  {middle:8.4g}  ({low:.4g} to {high:.4g}), extrapolated")
    if options.target is not None:
        middle, low, high = law.needed(options.target)
        print(f"{options.target:g} is reached at {middle:,.3g} transitions ({low:,.3g} to {high:,.3g})")


if __name__ == "__main__":
    main()
