"""Which metric sees that time runs backwards: rollouts replayed in reverse, beside truths redrawn.

    python benchmarks/backwards.py [--redraws 8] [--cases 64] [--repeats 8] [metric ...]

Of grains (labels) and of mixtures that separate (fields), 32 × 32 sites, as in suites/grains.yaml and
suites/spinodal.yaml. A number is how far the score is from the mean of the redrawn truths', in their standard
deviations, positive where it is worse; seconds are processor seconds of the last redrawn truth. Printed in Markdown.

backwards  frames 1 to L of the truth redrawn, in reverse order: every correlation in time of two points is as it was
copies     one trajectory of each ensemble, again and again: nothing fluctuates
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np

from nsbench.components.evidence import Evidence
from nsbench.registry.loading import build
from nsbench.registry.registry import Registry, installed
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensembles

METRICS = ("time_asymmetry", "autocorrelation", "spectrum", "energy_score", "sliced_energy", "nearest_neighbour")
SYSTEMS = {"grains": (2, 12), "spinodal": (2, 10)}
"""(stride, horizon) of each system, as in its suite."""


def backwards(rollouts: Any) -> Any:
    """Frames 1 to L in reverse order, of dense states."""
    frames = getattr(rollouts, rollouts.held).copy()
    frames[:, 1:] = frames[:, :0:-1].copy()
    return replace(rollouts, **{rollouts.held: frames})


def copies(rollouts: Any) -> Any:
    """The first rollout of each ensemble in place of all."""
    index = np.arange(len(rollouts))
    for group in ensembles(rollouts, 1):
        index[group.cases] = group.cases[:, :1]
    return rollouts.select(index)


def table(
    system: str, metrics: list[str], cases: int, repeats: int, redraws: int, registry: Registry
) -> list[list[str]]:
    """The rows of one system's table, headings first."""
    stride, horizon = SYSTEMS[system]
    test = {"train": 1, "val": 1, "test": {"cases": cases, "repeats": repeats}}
    dataset = build("dataset", registry.spec("dataset", system), test)
    truth = build("simulator", registry.spec("simulator", system), {})
    reference = dataset.prepare("test", np.random.default_rng(0)).framed(stride, horizon)
    draws = [truth.rollout(reference.start(), horizon, np.random.default_rng(k)) for k in range(1, redraws + 2)]
    rows = [["metric", "floor", "backwards", "copies", "s"]]
    for name in metrics:
        metric = build("metric", registry.spec("metric", name), {})

        def score(rollouts: Trajectories, metric: Any = metric) -> float:
            return float(metric.score(Evidence(rollouts, 1), reference, np.random.default_rng(1)).value)

        floors = [score(rollouts) for rollouts in draws[1:-1]]
        before = time.process_time()
        floors.append(score(draws[-1]))
        seconds = time.process_time() - before
        sign = 1 if metric.direction == "min" else -1
        mean, deviation = np.mean(floors), np.std(floors, ddof=1)
        away = [sign * (score(make(draws[0])) - mean) / deviation for make in (backwards, copies)]
        shown = [f"**{a:,.0f}**" if a > 3 else f"{a:.0f}".replace("-0", "0") for a in away]
        rows.append([name, f"{mean:.3g} ± {deviation:.1g}", *shown, f"{seconds:.2f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metric", nargs="*", default=list(METRICS))
    for option, default in (("redraws", 8), ("cases", 64), ("repeats", 8)):
        parser.add_argument(f"--{option}", type=int, default=default)
    chosen, registry = parser.parse_args(), installed()
    for system in SYSTEMS:
        print(f"\n{system}\n")
        rows = table(system, chosen.metric, chosen.cases, chosen.repeats, chosen.redraws, registry)
        for row in [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]:
            print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
