"""What a likelihood costs, and how tight it is: fitted simulators of a finished suite, by number of samples.

    python benchmarks/likelihoods.py suites/snow.yaml [--workspace nsbench-out] [--transitions 64] [--annealing 63]

Prints, for each network of the suite's first replicate, processor seconds and nats a transition of L_1, L_16, L_64, of
annealed importance sampling, and of as many plain importance samples as that evaluates. Costs do not depend on how long
a simulator was trained; slack does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fitted import fitted_networks
from numpy.typing import NDArray

from nsbench.neural.annealing import CHAINS
from nsbench.neural.simulator import NeuralSimulator
from nsbench.stages.annealing import annealed_likelihood
from nsbench.stages.prepare import prepare
from nsbench.trajectories.base import Trajectories

SAMPLES = (1, 16, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("nsbench-out"))
    parser.add_argument("--transitions", type=int, default=64)
    parser.add_argument("--annealing", type=int, default=63, help="intermediate distributions; 0: none")
    given = parser.parse_args()
    for workshop, trial, simulator in fitted_networks(given.suite, given.workspace):
        print(trial.id)
        bounds(simulator, prepare(workshop, trial.id, trial.data, "test"), given.transitions, given.annealing)


def bounds(simulator: NeuralSimulator, test: Trajectories, transitions: int, annealing: int) -> None:
    """Print the bounds of a random part of the test transitions."""
    index, t = test.transitions()
    part = np.random.default_rng(0).permutation(len(index))[:transitions]
    index, t = index[part], t[part]
    pairs = test.at(index, t), test.at(index, t + 1), test.params[index]
    ways: dict[str, Callable[[np.random.Generator], NDArray[np.float64] | None]] = {
        f"L_{k}": lambda rng, k=k: simulator.log_likelihood(*pairs, k, rng)  # type: ignore[misc]
        for k in (*SAMPLES, *([CHAINS * (annealing + 1)] if annealing else []))
    }
    if annealing:
        name = f"annealed, {annealing} distributions, {CHAINS} chains"
        ways[name] = lambda rng: annealed_likelihood(simulator, *pairs, annealing, rng)
    simulator.log_likelihood(*pairs, 1, np.random.default_rng(0))
    for name, way in ways.items():
        before = time.process_time(), time.perf_counter()
        nats = way(np.random.default_rng(1))
        processor, wall = time.process_time() - before[0], time.perf_counter() - before[1]
        if nats is not None:
            print(f"  {name}: {nats.mean():.3f} ± {nats.std() / np.sqrt(len(nats)):.2f} nats a transition,", end=" ")
            print(
                f"{1e3 * processor / len(nats):.2f} ms of processor, {1e3 * wall / len(nats):.2f} ms each", flush=True
            )


if __name__ == "__main__":
    main()
