"""The costs of a simulator: time, memory, operations, size. They are measured by themselves, after everything else.

A few batches of the test cases are simulated again for it, the simulator and the ground truth in turn, on the same
device and threads. In a run that has several trials going at once, costs are postponed until nothing else of the run
works (nsbench/running/schedule.py); the numbers do not depend on it, the times would.
"""

from __future__ import annotations

import threading
import time
from statistics import median

import numpy as np
import psutil

from nsbench.components.contracts.simulator import require_flops, require_size
from nsbench.components.evidence import Cost
from nsbench.components.protocol import Conditions, Protocol
from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories

TIMED_BATCHES = 2
"""The most batches of rollouts that are timed; their cases are spread evenly over the test set."""

ALONE_CASES = 4
"""Rollouts at batch 1 that are timed; the median counts."""

FLOP_CASES = 2
"""Rollouts whose operations are counted."""


class Postponed(Exception):
    """All of the evidence is made but its costs, which are to be measured when nothing else of the run works."""


def measured_cost(
    simulator: Simulator,
    truth: Simulator | None,
    start: Trajectories,
    protocol: Protocol,
    conditions: Conditions,
    rngs: tuple[np.random.Generator, np.random.Generator, np.random.Generator],
    *,
    fit_seconds: float | None,
    threads: int,
    parallel: int,
    peak_bytes: int,
) -> Cost:
    """The costs on the test cases, of which `start` has the first frames.

    truth: the ground truth's simulator, timed in turn; None where there is none. rngs: for batches, for rollouts at
    batch 1 and for the counting of operations. parallel: how many trials the run has going at once. peak_bytes: the
    most memory that the process held before, while it simulated all cases.
    """
    batch_rng, alone_rng, flop_rng = rngs
    with PeakMemory() as memory:
        seconds, truth_seconds = _seconds(simulator, truth, start, protocol, batch_rng)
        seconds_alone = _seconds_alone(simulator, start, protocol.horizon, alone_rng)
    return Cost(
        ms_per_trajectory=1e3 * seconds,
        batch=min(protocol.batch, len(start)),
        ms_per_trajectory_alone=1e3 * seconds_alone,
        fit_seconds=fit_seconds,
        threads=threads,
        device=conditions.device,
        truth_ms_per_trajectory=None if truth is None else 1e3 * truth_seconds,
        parameters=require_size(simulator, simulator.size()),
        flops_per_trajectory=require_flops(
            simulator, simulator.flops(start.select(slice(FLOP_CASES)), protocol.horizon, flop_rng)
        ),
        peak_bytes=max(memory.peak, peak_bytes),
        parallel=parallel,
    )


def timed_cases(cases: int, batch: int) -> list[np.ndarray]:
    """The cases of each batch that is timed, int64[b] each: at most TIMED_BATCHES whole batches, each spread evenly."""
    batches = max(1, min(TIMED_BATCHES, cases // batch))
    chosen = np.linspace(0, cases - 1, min(cases, batches * batch)).astype(int)
    return [chosen[k::batches] for k in range(batches)]


def _seconds(
    simulator: Simulator, truth: Simulator | None, start: Trajectories, protocol: Protocol, rng: np.random.Generator
) -> tuple[float, float]:
    """Seconds a trajectory of the simulator and of the ground truth, 0 without one, in turn, after one step each."""
    starts = [start.select(cases) for cases in timed_cases(len(start), protocol.batch)]
    seconds = dict.fromkeys(("simulator", "truth"), 0.0)
    timed = [("simulator", simulator)] if truth is None else [("simulator", simulator), ("truth", truth)]
    for _, who in timed:
        who.rollout(starts[0], min(2, protocol.horizon), rng.spawn(1)[0])
    for batch in starts:
        for name, who in timed:
            batch_rng = rng.spawn(1)[0]
            before = time.perf_counter()
            who.rollout(batch, protocol.horizon, batch_rng)
            seconds[name] += time.perf_counter() - before
    count = sum(map(len, starts))
    return seconds["simulator"] / count, seconds["truth"] / count


def _seconds_alone(simulator: Simulator, start: Trajectories, horizon: int, rng: np.random.Generator) -> float:
    """Seconds of a rollout at batch 1: the median of a few cases spread over the test set, after one to warm up."""
    cases = np.linspace(0, len(start) - 1, ALONE_CASES).astype(int)
    seconds = []
    for case, case_rng in zip([cases[0], *cases], rng.spawn(ALONE_CASES + 1), strict=True):
        before = time.perf_counter()
        simulator.rollout(start.select(slice(case, case + 1)), horizon, case_rng)
        seconds.append(time.perf_counter() - before)
    return median(seconds[1:])


class PeakMemory:
    """The largest resident size of this process while the block runs, sampled every 20 ms, in bytes."""

    def __enter__(self) -> PeakMemory:
        self._process = psutil.Process()
        self.peak = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
