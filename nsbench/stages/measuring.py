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
from nsbench.stages.annealing import annealed_likelihood
from nsbench.stages.guided import guided_bound
from nsbench.stages.keeper import Keeper
from nsbench.stages.probing import latent_use
from nsbench.trajectories.base import Trajectories

ALONE_CASES = 4
"""Rollouts at batch 1 that are timed; the median counts."""

FLOP_CASES = 2
"""Rollouts whose operations are counted."""

LIKELIHOOD_BATCH, LEAST_BATCH = 256, 16
"""Transitions in a call of log_likelihood, at one sample each and at many: between two calls a run can stop."""

SAMPLES_AT_ONCE = 1024
"""States that a call decodes, where that leaves LEAST_BATCH transitions."""

KL_TRANSITIONS = 128
"""Transitions over which the KL of each latent is a mean."""


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
            likelihood = _likelihood(simulator, truth, test, protocol.bounds, likelihood_rng, keeper)
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
    simulator: Simulator,
    truth: Simulator | None,
    test: Trajectories,
    bounds: Bounds | None,
    rng: np.random.Generator,
    keeper: Keeper,
) -> Likelihood | None:
    """The likelihood of all test transitions, a bound on it of a random part of them; None for a simulator without.

    The part depends on the test transitions' number alone, so it is the same for all simulators and replicates.
    """
    if simulator.likelihood is None:
        return None
    nats_rng, truth_rng, annealing_rng, *bound_rngs = rng.spawn(3 + len(bounds.samples if bounds else []))
    guided_rng = rng.spawn(1)[0]
    index, t = test.transitions()
    chosen = None
    by_samples: dict[int, np.ndarray] = {}
    if bounds is None or simulator.likelihood != "elbo":
        nats = _nats(simulator, test, index, t, 1, nats_rng, keeper, "likelihoods")
    else:
        chosen = _random_part(len(index), len(index) if bounds.transitions == "all" else bounds.transitions)
        index, t = index[chosen], t[chosen]
        for samples, samples_rng in zip(bounds.samples, bound_rngs, strict=True):
            by_samples[samples] = _nats(simulator, test, index, t, samples, samples_rng, keeper, f"bounds-{samples}")
        nats = by_samples[max(by_samples)]
    exact = None
    if truth is not None and truth.likelihood == "exact":
        exact = _nats(truth, test, index, t, 1, truth_rng, keeper, "likelihoods-of-truth")
    few, some = (_random_part(len(index), n) for n in (KL_TRANSITIONS, bounds.annealed if bounds else 0))
    annealed = None
    if by_samples and bounds and bounds.annealing:
        annealed = annealed_likelihood(simulator, *_pairs(test, index[some], t[some]), bounds.annealing, annealing_rng)
    guided = guided_bound(simulator, test, bounds.guided, guided_rng) if bounds and bounds.guided else None
    return Likelihood(
        simulator.likelihood,
        nats,
        transitions=chosen,
        bounds=by_samples,
        latents=None if simulator.likelihood == "exact" else simulator.latent_kl(*_pairs(test, index[few], t[few])),
        truth=exact,
        annealed=annealed,
        annealed_of=None if annealed is None else some,
        guided=guided,
    )


def _random_part(count: int, most: int) -> np.ndarray:
    """At most that many of 0 … count − 1, int64, ascending: the same in every call, and smaller ones within larger.

    Single transitions are drawn and not whole ensembles: nats differ more within an ensemble than between two, and
    an interval over ensembles needs many of them.
    """
    chosen: np.ndarray = np.sort(np.random.default_rng(0).permutation(count)[:most])
    return chosen


def _pairs(test: Trajectories, index: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The states before and after, and the parameters, of transitions: index, t int[m], their trajectory and frame."""
    return test.at(index, t), test.at(index, t + 1), test.params[index]


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
    size = min(LIKELIHOOD_BATCH, max(LEAST_BATCH, SAMPLES_AT_ONCE // samples))
    for k in range(keeper.earlier(series, rng) * size, len(index), size):
        batch = slice(k, k + size)
        nats = simulator.log_likelihood(*_pairs(test, index[batch], t[batch]), samples, rng)
        nats = require_nats(simulator, nats, len(index[batch]))
        keeper.keep(series, {"nats": nats}, rng, more=k + size < len(index))
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
