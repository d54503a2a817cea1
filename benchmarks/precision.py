"""Do float32 and bfloat16 score alike? Fitted simulators of a finished suite, simulated in both precisions.

    python benchmarks/precision.py suites/snow.yaml [--workspace nsbench-out]

Prints, for each network of the suite's first replicate, the EWD with its interval and the ELBO of the same
weights, the same cases and the same seeds in either precision.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from fitted import fitted_networks

from nsbench.components.protocol import Precision
from nsbench.components.simulator import Simulator
from nsbench.stages.measuring import collect
from nsbench.stages.prepare import prepare
from nsbench.stages.workshop import Workshop
from nsbench.suite.seeds import generator
from nsbench.suite.trials import Trial
from nsbench_metrics.elbo import ELBO, ELBOParams
from nsbench_metrics.ewd import EWD, EWDParams

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("nsbench-out"))
    given = parser.parse_args()
    for workshop, trial, simulator in fitted_networks(given.suite, given.workspace):
        for precision in PRECISIONS:
            print(scores(workshop, trial, simulator, precision))


def scores(workshop: Workshop, trial: Trial, simulator: Simulator, precision: Precision) -> str:
    conditions = replace(workshop.conditions, precision=precision)
    simulator.conditions = conditions
    test = prepare(workshop, trial.id, trial.data, "test")
    rng = generator(trial.simulate_seed)
    evidence = collect(
        simulator,
        test,
        workshop.suite.protocol,
        conditions,
        rng,
        truth=None,
        fit_seconds=None,
        threads=workshop.threads,
    )
    ewd, elbo = (metric.score(evidence, test, generator([0])) for metric in (EWD(EWDParams()), ELBO(ELBOParams())))
    assert ewd.interval
    assert elbo.interval
    return (
        f"{trial.id} {precision:9} EWD {ewd.value:.3f} ({ewd.interval[0]:.2f} … {ewd.interval[1]:.2f}) "
        f"ELBO {elbo.value:.3f} ({elbo.interval[0]:.2f} … {elbo.interval[1]:.2f})"
    )


if __name__ == "__main__":
    main()
