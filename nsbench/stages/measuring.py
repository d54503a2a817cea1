"""The measurement of a simulator on the test cases, by the fair protocol: rollouts, likelihoods, latents, costs.

Every simulator gets the same cases in the same batches. Its time and the ground truth's are measured in turn, batch by
batch, on the same device and threads. All rollouts end by the same rule and horizon.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import psutil

from nsbench.components.contracts.broken import BrokenContract
from nsbench.components.contracts.simulator import require_flops, require_nats, require_rollout, require_size
from nsbench.components.evidence import Cost, Evidence, Likelihood
from nsbench.components.protocol import Bounds, Conditions, Protocol
from nsbench.components.simulator import Simulator
from nsbench.stages.keeper import Keeper
from nsbench.stages.probing import latent_use
from nsbench.trajectories.base import Trajectories

ALONE_CASES = 4
"""Rollouts at batch 1 that are timed; the median counts."""

FLOP_CASES = 2
"""Rollouts whose operations are counted."""

LIKELIHOOD_BATCH = 256
"""Transitions in a call of log_likelihood; with K samples each, the simulator decodes K times as many states."""


@dataclass(frozen=True, eq=False)
class RolloutBatch:
    """The rollouts of a batch, the seconds that they took, and how they were measured: see ``Cost``."""

    rollouts: Trajectories
    seconds: float
    truth_seconds: float
    peak_bytes: int
    parallel: int


def collect(
    simulator: Simulator,
    test: Trajectories,
    protocol: Protocol,
    conditions: Conditions,
    rng: np.random.Generator,
    *,
    truth: Simulator | None,
    fit_seconds: float | None,
    threads: int,
    parallel: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    keeper: Keeper | None = None,
    with_likelihood: bool = True,
) -> Evidence:
    """The evidence of a simulator on the test cases, framed trajectories.

    truth: the ground truth's simulator, timed in turn; None where there is none. parallel: how many trials the
    run has going at once. progress: called with the numbers of trajectories simulated, and in all. keeper: of the
    batches of rollouts and likelihoods, which are not made again if it has them. with_likelihood: False where the
    likelihood is of another decoding, which is measured by itself. Raises BrokenContract.
    """
    keeper = keeper or Keeper()
    start = test.start().select(np.repeat(np.arange(len(test)), protocol.members))
    rollout_rng, truth_rng, alone_rng, flop_rng, likelihood_rng, latent_rng = rng.spawn(6)
    with PeakMemory() as memory:
        batches = _rollouts(
            simulator, truth, start, protocol, rollout_rng, truth_rng, memory, parallel, progress, keeper
        )
        seconds_alone = _seconds_alone(simulator, start, protocol.horizon, alone_rng)
        likelihood = None
        if with_likelihood:
            likelihood = _likelihood(simulator, test, protocol.bounds, likelihood_rng, keeper)
    cost = Cost(
        ms_per_trajectory=1e3 * sum(batch.seconds for batch in batches) / len(start),
        batch=min(protocol.batch, len(start)),
        ms_per_trajectory_alone=1e3 * seconds_alone,
        fit_seconds=fit_seconds,
        threads=threads,
        device=conditions.device,
        truth_ms_per_trajectory=None if truth is None else 1e3 * sum(b.truth_seconds for b in batches) / len(start),
        parameters=require_size(simulator, simulator.size()),
        flops_per_trajectory=require_flops(
            simulator, simulator.flops(start.select(slice(FLOP_CASES)), protocol.horizon, flop_rng)
        ),
        peak_bytes=max(memory.peak, *(batch.peak_bytes for batch in batches)),
        parallel=max(parallel, *(batch.parallel for batch in batches)),
    )
    return Evidence(
        _joined(simulator, batches),
        protocol.members,
        cost,
        likelihood,
        latent_use(simulator, test, latent_rng),
        drawn_elsewhere=not with_likelihood,
    )


def _rollouts(
    simulator: Simulator,
    truth: Simulator | None,
    start: Trajectories,
    protocol: Protocol,
    rng: np.random.Generator,
    truth_rng: np.random.Generator,
    memory: PeakMemory,
    parallel: int,
    progress: Callable[[int, int], None],
    keeper: Keeper,
) -> list[RolloutBatch]:
    """All rollouts, batch by batch, cut by the stop rule."""
    starts = [start.select(slice(k, k + protocol.batch)) for k in range(0, len(start), protocol.batch)]
    warm, truth_warm = rng.spawn(1)[0], truth_rng.spawn(1)[0]
    simulator.rollout(starts[0], min(2, protocol.horizon), warm)
    if truth is not None:
        truth.rollout(starts[0], min(2, protocol.horizon), truth_warm)
    batch_rngs, truth_rngs = rng.spawn(len(starts)), truth_rng.spawn(len(starts))
    done = keeper.earlier("rollouts")
    simulated = sum(len(batch) for batch in starts[:done])
    for k in range(done, len(starts)):
        before = time.perf_counter()
        rollout = simulator.rollout(starts[k], protocol.horizon, batch_rngs[k])
        seconds = time.perf_counter() - before
        stopped = require_rollout(simulator, rollout, starts[k], protocol.horizon).stopped()
        before = time.perf_counter()
        if truth is not None:
            truth.rollout(starts[k], protocol.horizon, truth_rngs[k])
        truth_seconds = time.perf_counter() - before
        batch = RolloutBatch(stopped, seconds, truth_seconds, memory.peak, parallel)
        keeper.keep("rollouts", vars(batch), more=k + 1 < len(starts))
        simulated += len(starts[k])
        progress(simulated, len(start))
    return [RolloutBatch(**batch) for batch in keeper.batches("rollouts")]


def _joined(simulator: Simulator, batches: list[RolloutBatch]) -> Trajectories:
    """The rollouts of all batches."""
    rollouts = [batch.rollouts for batch in batches]
    if len(kinds := {type(rollout).__name__ for rollout in rollouts}) > 1:
        raise BrokenContract(
            simulator, "rollout", f"returned {' and '.join(sorted(kinds))}", "all batches must be of one kind"
        )
    return type(rollouts[0]).joined(rollouts)


def _seconds_alone(simulator: Simulator, start: Trajectories, horizon: int, rng: np.random.Generator) -> float:
    """Seconds of a rollout at batch 1: the median of a few cases spread over the test set, after one to warm up."""
    cases = np.linspace(0, len(start) - 1, ALONE_CASES).astype(int)
    seconds = []
    for case, case_rng in zip([cases[0], *cases], rng.spawn(ALONE_CASES + 1), strict=True):
        before = time.perf_counter()
        simulator.rollout(start.select(slice(case, case + 1)), horizon, case_rng)
        seconds.append(time.perf_counter() - before)
    return median(seconds[1:])


def _likelihood(
    simulator: Simulator, test: Trajectories, bounds: Bounds | None, rng: np.random.Generator, keeper: Keeper
) -> Likelihood | None:
    """The likelihood of all test transitions, with bounds on a random subset of them; None for a simulator without."""
    if simulator.likelihood is None:
        return None
    index, t = test.transitions()
    subset_rng, rng = rng.spawn(2)
    nats = _nats(simulator, test, index, t, 1, rng, keeper, "likelihoods")
    if simulator.likelihood == "exact" or bounds is None:
        return Likelihood(simulator.likelihood, nats)
    subset = np.sort(subset_rng.choice(len(index), min(bounds.transitions, len(index)), replace=False))
    by_samples = {
        samples: _nats(simulator, test, index[subset], t[subset], samples, samples_rng, keeper, f"bounds-{samples}")
        for samples, samples_rng in zip(bounds.samples, rng.spawn(len(bounds.samples)), strict=True)
    }
    x, x_next = test.at(index[subset], t[subset]), test.at(index[subset], t[subset] + 1)
    return Likelihood(
        simulator.likelihood, nats, by_samples, simulator.latent_kl(x, x_next, test.params[index[subset]])
    )


def _nats(
    simulator: Simulator,
    test: Trajectories,
    index: np.ndarray,
    t: np.ndarray,
    samples: int,
    rng: np.random.Generator,
    keeper: Keeper,
    series: str,
) -> np.ndarray:
    """The log-likelihood of each transition, float64[n], in nats. index, t: int[n], its trajectory and frame.

    series: its batches' name for the keeper.
    """
    for k in range(keeper.earlier(series, rng) * LIKELIHOOD_BATCH, len(index), LIKELIHOOD_BATCH):
        trajectories, frames = index[k : k + LIKELIHOOD_BATCH], t[k : k + LIKELIHOOD_BATCH]
        nats = simulator.log_likelihood(
            test.at(trajectories, frames),
            test.at(trajectories, frames + 1),
            test.params[trajectories],
            samples,
            rng,
        )
        nats = require_nats(simulator, nats, len(trajectories))
        keeper.keep(series, {"nats": nats}, rng, more=k + LIKELIHOOD_BATCH < len(index))
    return np.concatenate([np.empty(0), *(batch["nats"] for batch in keeper.batches(series))])


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
