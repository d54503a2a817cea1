"""Does the headline rank simulators that are built to fail in the order that their construction demands?

    python benchmarks/headline.py [--systems snow gusts grains spinodal]

On the test data of each system's suite: its energy distance, the standard error over ensembles, and the parts, of the
truth redrawn, of eight truths spread out better than chance, of a look-up in the training data, of the best single
state, and of the truth with one thing wrong. Those with half or double the spread keep the mean of 64 truths of that
start; where dependence is broken each number of a trajectory comes from another of them; nothing is trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import nsbench
from nsbench.components.protocol import Protocol
from nsbench.registry.registry import Registry, installed
from nsbench.stages.nulls import analogue, best_deterministic, climatology, persistence, redrawing
from nsbench.suite.reading import read_suite
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import alike
from nsbench_metrics.energy_distance import energy_distance, energy_parts, lead_times, units, within_deviations
from nsbench_metrics.shared.lead_times import last_lead, observed

SUITES = {"snow": "snow", "gusts": "gusts", "grains": "grains", "spinodal": "spinodal"}
DRAWS = 64

Array = NDArray[np.float64]


class System:
    """A system's test data, its truths drawn anew, and trajectories as vectors."""

    def __init__(self, suite: str, registry: Registry) -> None:
        plan = read_suite(Path(__file__).parents[1] / "suites" / f"{suite}.yaml", registry)
        use, protocol = plan.datasets[0], plan.protocol_on(plan.datasets[0])
        dataset = nsbench.load("dataset", use.use, **use.params)
        rng = np.random.default_rng(0)
        self.test, self.train = (
            dataset.prepare(split, rng.spawn(1)[0]).framed(protocol.stride, protocol.horizon)
            for split in ("test", "train")
        )
        spec = registry.spec("dataset", use.use)
        self.redraw = _redraw(spec.floor, protocol, rng)
        self.noise_free = _redraw(spec.noise_free, protocol, rng)
        self.groups, self.rng = alike(self.test), rng
        self.leads = lead_times(self.test, last_lead(self.test), 5)
        numbers = observed(self.test, last_lead(self.test), self.test.domain.observables)
        self.unit = units(numbers, [np.stack(self.groups)])[0][self.leads - 1].ravel()
        self.truths = self.vectors(self.test) / self.unit

    def vectors(self, rollouts: Trajectories) -> Array:
        """Observables at the lead times of one rollout a case, float64[E, g, D]."""
        numbers = observed(rollouts, last_lead(self.test), self.test.domain.observables)[:, self.leads - 1]
        return np.stack([numbers[group].reshape(len(group), -1) for group in self.groups])

    def drawn(self, draws: int) -> Array:
        """New truths of each ensemble's start, float64[E, draws, D], in the units of the distance."""
        first = np.array([group[0] for group in self.groups])
        rollouts = self.redraw(self.test.start().select(np.repeat(first, draws)))
        numbers = observed(rollouts, last_lead(self.test), self.test.domain.observables)[:, self.leads - 1]
        return numbers.reshape(len(first), draws, -1) / self.unit

    def report(self, name: str, members: Array) -> str:
        distance = energy_distance(self.truths, members)
        ratio = within_deviations([members]) / np.maximum(within_deviations([self.truths]), 1e-12)
        bias, spread, dependence = energy_parts(self.truths, members, ratio).mean(axis=0)
        error = distance.std(ddof=1) / np.sqrt(len(distance))
        return f"| {name} | {distance.mean():.3f} ± {error:.3f} | {bias:.2f} | {spread:.2f} | {dependence:.2f} |"


def _redraw(reference, protocol: Protocol, rng: np.random.Generator) -> Callable[[Trajectories], Trajectories]:
    truth = nsbench.load("simulator", reference.name, **reference.params)
    return redrawing(truth, protocol, rng.spawn(1)[0])


def built_to_fail(system: System) -> dict[str, Array]:
    """Members of each ensemble, float64[E, g, D], of simulators whose faults are known."""
    test, rng = system.test, system.rng
    g = len(system.groups[0])
    pool, fresh = system.drawn(DRAWS), system.drawn(g)
    mean = pool.mean(axis=1, keepdims=True)
    order = np.argsort(pool[:, :, 0], axis=1)[:, DRAWS // (2 * g) :: DRAWS // g]
    broken = rng.permuted(pool, axis=1)[:, :g]

    def of(rollouts: Trajectories) -> Array:
        return system.vectors(rollouts) / system.unit

    return {
        "the truth redrawn": of(system.redraw(test.start())),
        "spread out better than chance": np.take_along_axis(pool, order[:, :g, None], axis=1),
        "look-up (analogue)": of(analogue(system.train, test, 1, rng)),
        "dependence broken": broken,
        "right mean, half the spread": mean + (fresh - mean) / 2,
        "right mean, double the spread": mean + 2 * (fresh - mean),
        "best-deterministic": of(best_deterministic(test, 1, system.redraw, DRAWS)),
        "noise-free": of(system.noise_free(test.start())),
        "climatology": of(climatology(test, 1, rng)),
        "persistence": of(persistence(test, 1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", choices=list(SUITES), default=list(SUITES))
    registry = installed()
    for name in parser.parse_args().systems:
        system = System(SUITES[name], registry)
        print(f"\n**{name}**: {len(system.groups)} ensembles, lead times {', '.join(map(str, system.leads))}\n")
        print("| simulator | D² ± standard error, σ | bias | spread | dependence |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for fault, members in built_to_fail(system).items():
            print(system.report(fault, members), flush=True)


if __name__ == "__main__":
    main()
