"""Which failure moves which metric: simulators built to fail, scored beside the truth redrawn.

    python benchmarks/failures.py [--redraws 8] [--parameters 64] [--repeats 8] [--members 1] [metric ...]

Each failure is made from the ground truth (LCA, 32 × 32, σ = 0.01), so that nothing else is wrong with it. A
number is how far the failure's score is from the mean of the redrawn truths', in their standard deviations,
positive where it is worse: below about 3 the metric does not see the failure. Printed in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nsbench.components.evidence import Cost, Evidence
from nsbench.components.metric import NotApplicable
from nsbench.registry.loading import build
from nsbench.registry.registry import installed
from nsbench.stages.nulls import climatology
from nsbench.trajectories.ensembles import ensembles
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.lattices import OFFSETS
from nsbench_lca.dataset import LCADataset
from nsbench_lca.params import DatasetParams, SimulatorParams
from nsbench_lca.simulator import LCASimulator

HORIZON, STRIDE = 64, 10
COST = Cost(ms_per_trajectory=1.0, batch=1, ms_per_trajectory_alone=1.0, threads=1, device="cpu")
LEFT_OUT = ("elbo", "wall_clock", "fid")
"""Metrics of likelihood, cost and a network of the user's own: nothing that a rollout's failure could move."""

Rng = np.random.Generator


def redrawn(start: GrowthTrajectories, rng: Rng, sigma: float | None = None) -> GrowthTrajectories:
    """The truth with other noise, or with noise of another strength."""
    return LCASimulator(SimulatorParams(sigma=sigma)).rollout(start, HORIZON, rng).stopped()


def collapsed(truth: GrowthTrajectories, members: int, rng: Rng) -> GrowthTrajectories:
    """Posterior collapse: one likely trajectory of each ensemble, its medoid, again and again."""
    index = np.arange(len(truth))
    for group in ensembles(truth, 1):
        for own in group.cases:
            arrival = np.where(truth.arrival[own] < 0, HORIZON, truth.arrival[own]).reshape(len(own), -1)
            apart = np.abs(arrival[:, None] - arrival[None]).sum(axis=(1, 2))
            index[own] = own[apart.argmin()]
    return replace(truth.select(index), params=truth.params)


def deadlocked(truth: GrowthTrajectories, members: int, rng: Rng) -> GrowthTrajectories:
    """Collapse to the identity: in each step one rollout of twenty stops changing for good."""
    last = np.minimum(rng.geometric(0.05, len(truth)), truth.lengths - 1).astype(np.int32)
    arrival = np.where(truth.arrival > last[:, None, None], np.int32(-1), truth.arrival)
    return replace(truth, arrival=arrival, lengths=last + np.int32(1))


def latents_neglected(truth: GrowthTrajectories, members: int, rng: Rng) -> GrowthTrajectories:
    """Latent neglect: each site attaches when it does in some trajectory of the ensemble, alone of all others."""
    arrival = truth.arrival.copy()
    for group in ensembles(truth, 1):
        for own in group.cases:
            arrival[own] = rng.permuted(arrival[own], axis=0)
    return _of(truth, arrival)


def parameters_neglected(truth: GrowthTrajectories, members: int, rng: Rng) -> GrowthTrajectories:
    """Parameter neglect: trajectories of any other parameters."""
    found = climatology(truth, 1, rng)
    assert isinstance(found, GrowthTrajectories)
    return found


def warped(truth: GrowthTrajectories, pace: float) -> GrowthTrajectories:
    """The same shapes at another pace."""
    arrival = np.where(truth.arrival > 0, np.maximum(np.rint(truth.arrival / pace), 1), truth.arrival)
    return _of(truth, arrival.astype(np.int32))


def smoothed(truth: GrowthTrajectories, members: int, rng: Rng) -> GrowthTrajectories:
    """Crystals too smooth: a site attaches with the fourth of its neighbourhood, itself and six neighbours."""
    arrival = np.where(truth.arrival < 0, np.int32(HORIZON + 1), truth.arrival)
    padded = np.pad(arrival, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = arrival.shape[1:]
    shifts = [(0, 0), *OFFSETS["hexagonal-quadrant"]]
    around = np.stack([padded[:, 1 + i : 1 + i + height, 1 + j : 1 + j + width] for i, j in shifts])
    return _of(truth, np.where(truth.arrival == 0, 0, np.median(around, axis=0)))


def _of(truth: GrowthTrajectories, arrival: np.ndarray) -> GrowthTrajectories:
    arrival = np.where(arrival > HORIZON, -1, arrival).astype(np.int32)
    lengths = arrival.max(axis=(1, 2)).astype(np.int32) + np.int32(1)
    return replace(truth, arrival=arrival, lengths=lengths)


FAILURES: dict[str, Callable[[GrowthTrajectories, int, Rng], GrowthTrajectories]] = {
    "posterior collapse": collapsed,
    "too little noise, σ/2": lambda truth, members, rng: redrawn(truth.start(), rng, sigma=0.005),
    "too much noise, 2σ": lambda truth, members, rng: redrawn(truth.start(), rng, sigma=0.02),
    "deadlock": deadlocked,
    "latent neglect": latents_neglected,
    "parameter neglect": parameters_neglected,
    "a tenth too slow": lambda truth, members, rng: warped(truth, 0.9),
    "a tenth too fast": lambda truth, members, rng: warped(truth, 1.1),
    "too smooth": smoothed,
}
"""From redrawn truths, cases × members, to what the failing simulator makes of the same cases."""


def table(metrics: list[str], parameters: int, repeats: int, members: int, redraws: int) -> list[list[str]]:
    """The rows of the table, headings first."""
    rng = np.random.default_rng(0)
    dataset = LCADataset(DatasetParams(test={"parameters": parameters, "repeats": repeats}))
    reference = dataset.prepare("test", rng).framed(STRIDE, HORIZON)
    start = reference.start().select(np.repeat(np.arange(len(reference)), members))
    truths = [redrawn(start, rng) for _ in range(redraws)]
    failing = [make(redrawn(start, rng), members, rng) for make in FAILURES.values()]
    registry, rows = installed(), [["metric", "floor", *FAILURES]]
    for name in metrics:
        metric = build("metric", registry.spec("metric", name), {})

        def score(rollouts: GrowthTrajectories, metric: object = metric) -> float:
            return metric.score(Evidence(rollouts, members, COST), reference, np.random.default_rng(1)).value

        try:
            floors, others = ([score(r) for r in side] for side in (truths, failing))
        except NotApplicable as reason:
            rows.append([name, str(reason)])
            continue
        sign = 1 if metric.direction == "min" else -1
        away = [sign * (other - np.mean(floors)) / np.std(floors, ddof=1) for other in others]
        shown = [f"**{a:,.0f}**" if a > 3 else f"{a:.0f}".replace("-0", "0") for a in away]
        rows.append([name, f"{np.mean(floors):.3g} ± {np.std(floors, ddof=1):.1g}", *shown])
    return rows


def main() -> None:
    known = [name for name in installed().names("metric") if name not in LEFT_OUT]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metric", nargs="*", default=known)
    for option, default in (("redraws", 8), ("parameters", 64), ("repeats", 8), ("members", 1)):
        parser.add_argument(f"--{option}", type=int, default=default)
    chosen = parser.parse_args()
    rows = table(chosen.metric, chosen.parameters, chosen.repeats, chosen.members, chosen.redraws)
    for row in [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
