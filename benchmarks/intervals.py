"""How often does the headline's 95 % interval hold the expectation, with few ensembles and many?

    OMP_NUM_THREADS=1 python benchmarks/intervals.py [--experiments 2000]

Normal ensembles whose distance from the truth is known from 40,000 of them in units that are known too; each experiment
takes its units from its own truths, as the metric does. In percent, and beside it what the t interval does with four.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from nsbench.components.intervals import skewed_interval
from nsbench_metrics.energy_distance import energy_distance, within_deviations

Array = NDArray[np.float64]
Rng = np.random.Generator

ENSEMBLES = (4, 8, 16, 64)
MANY = 40_000


@dataclass(frozen=True)
class Case:
    """Ensembles of so many truths and members, of so many numbers each.

    correlation: of the numbers. varied: ensembles' standard deviations are from 1 to 10, uniform in the logarithm; else
    they are 1. off: the standard deviation, in those, by which an ensemble's mean is off in each number; far: in all of
    them alike, by χ² instead. one_state: all members of an ensemble are the same.
    """

    numbers: int
    size: int = 8
    correlation: float = 0.0
    varied: bool = False
    off: float = 0.0
    far: bool = False
    one_state: bool = False

    @property
    def unit(self) -> float:
        """The standard deviation within ensembles, over all of them: √(99 / (2 ln 10)) where they vary."""
        return float(np.sqrt(99 / (2 * np.log(10)))) if self.varied else 1.0

    def draw(self, ensembles: int, rng: Rng) -> tuple[Array, Array]:
        """Truths and members, float64[E, size, numbers] each."""
        spread = 10 ** rng.random((ensembles, 1, 1)) if self.varied else np.ones((ensembles, 1, 1))
        truths, members = (spread * self._normal(ensembles, rng) for _ in range(2))
        if self.one_state:
            members = np.repeat(0.3 * members[:, :1], self.size, axis=1)
        if self.far:
            return truths, members + spread * self.off * rng.normal(size=(ensembles, 1, 1)) ** 2
        return truths, members + spread * self.off * rng.normal(size=(ensembles, 1, self.numbers))

    def _normal(self, ensembles: int, rng: Rng) -> Array:
        own = rng.normal(size=(ensembles, self.size, self.numbers))
        common = rng.normal(size=(ensembles, self.size, 1))
        return np.sqrt(1 - self.correlation) * own + np.sqrt(self.correlation) * common


CASES = {
    "truth, 2 numbers": Case(2),
    "truth, 10 numbers": Case(10),
    "truth, 25 numbers": Case(25),
    "truth, 10 numbers correlated by 0.6": Case(10, correlation=0.6),
    "truth, 5 numbers, spreads from 1 to 10": Case(5, varied=True),
    "truth, 5 numbers, 2 by 2": Case(5, size=2),
    "means off by 0.6 σ at random, 2 numbers": Case(2, off=0.6),
    "means off by 0.6 σ at random, 10 numbers": Case(10, off=0.6),
    "means off by 3 σ at random, 5 numbers": Case(5, off=3.0),
    "one state for all members, 10 numbers": Case(10, one_state=True),
    "far off in few ensembles, 5 numbers": Case(5, off=0.6, far=True),
}


def t_interval(values: Array) -> tuple[float, float]:
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def coverage(case: Case, ensembles: int, expected: float, experiments: int, rng: Rng) -> Array:
    """The share of intervals that hold the expectation, by Hall's transformation and by t."""
    hits = np.zeros(2)
    for _ in range(experiments):
        truths, members = case.draw(ensembles, rng)
        unit = within_deviations([truths])
        distances = energy_distance(truths / unit, members / unit)
        hits += [low <= expected <= high for low, high in (skewed_interval(distances), t_interval(distances))]
    return 100 * hits / experiments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2_000)
    experiments = parser.parse_args().experiments
    print("| ensembles | " + " | ".join(map(str, ENSEMBLES)) + " | t, 4 |")
    print("| --- |" + " ---: |" * (len(ENSEMBLES) + 1))
    for name, case in CASES.items():
        rng = np.random.default_rng(0)
        pool = [energy_distance(*(side / case.unit for side in case.draw(MANY // 8, rng))) for _ in range(8)]
        shares = [coverage(case, e, float(np.mean(pool)), experiments, rng) for e in ENSEMBLES]
        print(
            f"| {name} | " + " | ".join(f"{share[0]:.0f}" for share in shares) + f" | {shares[0][1]:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
