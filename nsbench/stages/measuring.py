"""The measurement of a simulator on the test cases, by the fair protocol: rollouts, likelihoods, latents, costs.

Every simulator gets the same cases in the same batches. Its time and the ground truth's are measured in turn, batch by
batch, on the same device and threads. All rollouts end by the same rule and horizon.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import psutil

from nsbench.components.contracts.broken import BrokenContract
from nsbench.components.contracts.simulator import require_flops, require_nats, require_rollout, require_size
from nsbench.components.evidence import Cost, Evidence, Likelihood
from nsbench.components.protocol import Bounds, Conditions, Protocol
from nsbench.components.simulator import Simulator
from nsbench.stages.probing import latent_use
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain

if TYPE_CHECKING:
    from nsbench.stages.parts import Parts

ALONE_CASES = 4
"""Rollouts at batch 1 that are timed; the median counts."""

FLOP_CASES = 2
"""Rollouts whose operations are counted."""

LIKELIHOOD_BATCH = 256
"""Transitions in a call of log_likelihood; with K samples each, the simulator decodes K times as many states."""


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
    parts: Parts | None = None,
) -> Evidence:
    """The evidence of a simulator on the test cases, framed trajectories.

    truth: the ground truth's simulator, timed in turn; None where there is none. parallel: how many trials the
    run has going at once. progress: called with the numbers of trajectories simulated, and in all; may raise.
    parts: those of an earlier sitting, and the place for more; the evidence is the same to the bit in any number of
    sittings. Raises BrokenContract.
    """
    start = test.start().select(np.repeat(np.arange(len(test)), protocol.members))
    rollout_rng, truth_rng, alone_rng, flop_rng, likelihood_rng, latent_rng = rng.spawn(6)
    with PeakMemory() as memory:
        rollouts, seconds, truth_seconds = _rollouts(
            simulator, truth, start, protocol, rollout_rng, truth_rng, progress, parts
        )
        seconds_alone = _seconds_alone(simulator, start, protocol.horizon, alone_rng)
        likelihood = _likelihood(simulator, test, protocol.bounds, likelihood_rng, parts)
    cost = Cost(
        ms_per_trajectory=1e3 * seconds / len(start),
        batch=min(protocol.batch, len(start)),
        ms_per_trajectory_alone=1e3 * seconds_alone,
        fit_seconds=fit_seconds,
        threads=threads,
        device=conditions.device,
        truth_ms_per_trajectory=None if truth is None else 1e3 * truth_seconds / len(start),
        parameters=require_size(simulator, simulator.size()),
        flops_per_trajectory=require_flops(
            simulator, simulator.flops(start.select(slice(FLOP_CASES)), protocol.horizon, flop_rng)
        ),
        peak_bytes=memory.peak,
        parallel=parallel,
    )
    return Evidence(rollouts, protocol.members, cost, likelihood, latent_use(simulator, test, latent_rng))


def _rollouts(
    simulator: Simulator,
    truth: Simulator | None,
    start: Trajectories,
    protocol: Protocol,
    rng: np.random.Generator,
    truth_rng: np.random.Generator,
    progress: Callable[[int, int], None],
    parts: Parts | None,
) -> tuple[Trajectories, float, float]:
    """All rollouts, cut by the stop rule, and the seconds that the simulator and the truth took."""
    batches = [start.select(slice(k, k + protocol.batch)) for k in range(0, len(start), protocol.batch)]
    warm, truth_warm = rng.spawn(1)[0], truth_rng.spawn(1)[0]
    simulator.rollout(batches[0], min(2, protocol.horizon), warm)
    if truth is not None:
        truth.rollout(batches[0], min(2, protocol.horizon), truth_warm)
    batch_rngs, truth_rngs = rng.spawn(len(batches)), truth_rng.spawn(len(batches))
    made, added, first = Made(start.domain), Made(start.domain), 0
    for end, path, facts in parts.read("rollouts") if parts else ():
        made.read(path, facts)
        first = end

    def keep(end: int) -> None:
        nonlocal first, added
        if parts:
            facts = {"seconds": added.seconds, "truth_seconds": added.truth_seconds}
            parts.keep("rollouts", first, end, added.write, facts)
        made.add(added)
        first, added = end, Made(start.domain)

    for k in range(first, len(batches)):
        before = time.perf_counter()
        rollout = simulator.rollout(batches[k], protocol.horizon, batch_rngs[k])
        added.seconds += time.perf_counter() - before
        added.rollouts.append(require_rollout(simulator, rollout, batches[k], protocol.horizon).stopped())
        if truth is not None:
            before = time.perf_counter()
            truth.rollout(batches[k], protocol.horizon, truth_rngs[k])
            added.truth_seconds += time.perf_counter() - before
        if parts and parts.is_due():
            keep(k + 1)
        try:
            progress(min((k + 1) * protocol.batch, len(start)), len(start))
        except KeyboardInterrupt:
            keep(k + 1)
            raise
    made.add(added)
    return made.joined(simulator), made.seconds, made.truth_seconds


@dataclass
class Made:
    """Rollouts that were made, and the seconds that they and the ground truth's took. domain: that of the rollouts."""

    domain: Domain
    rollouts: list[Trajectories] = field(default_factory=list)
    seconds: float = 0.0
    truth_seconds: float = 0.0

    def add(self, more: Made) -> None:
        """Add those that came after these."""
        self.rollouts += more.rollouts
        self.seconds += more.seconds
        self.truth_seconds += more.truth_seconds

    def joined(self, simulator: Simulator) -> Trajectories:
        """All rollouts as one. Raises BrokenContract where their kinds differ."""
        if len(kinds := {type(rollout).__name__ for rollout in self.rollouts}) > 1:
            got = f"returned {' and '.join(sorted(kinds))}"
            raise BrokenContract(simulator, "rollout", got, "all batches must be of one kind")
        return type(self.rollouts[0]).joined(self.rollouts)

    def write(self, path: Path) -> None:
        """Write the rollouts to a new file."""
        from nsbench.trajectories.hdf5 import write_trajectories

        write_trajectories(path, type(self.rollouts[0]).joined(self.rollouts))

    def read(self, path: Path, facts: Mapping[str, float]) -> None:
        """Add what an earlier sitting made."""
        from nsbench.trajectories.hdf5 import read_trajectories

        self.add(Made(self.domain, [read_trajectories(path, self.domain)], facts["seconds"], facts["truth_seconds"]))


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
    simulator: Simulator, test: Trajectories, bounds: Bounds | None, rng: np.random.Generator, parts: Parts | None
) -> Likelihood | None:
    """The likelihood of all test transitions, with bounds on a random subset of them; None for a simulator without."""
    if simulator.likelihood is None:
        return None
    index, t = test.transitions()
    subset_rng, rng = rng.spawn(2)
    nats = _nats(simulator, test, index, t, 1, rng, parts, "nats")
    if simulator.likelihood == "exact" or bounds is None:
        return Likelihood(simulator.likelihood, nats)
    subset = np.sort(subset_rng.choice(len(index), min(bounds.transitions, len(index)), replace=False))
    by_samples = {
        samples: _nats(simulator, test, index[subset], t[subset], samples, samples_rng, parts, f"bound-{samples}")
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
    parts: Parts | None,
    name: str,
) -> np.ndarray:
    """The log-likelihood of each transition, float64[n], in nats. index, t: int[n], its trajectory and frame.

    name: of these numbers among the parts, which hold the generator's state behind them.
    """
    made: list[np.ndarray] = []
    first = 0
    for end, path, facts in parts.read(name) if parts else ():
        made.append(np.load(path, allow_pickle=False))
        rng.bit_generator.state = facts["generator"]
        first = end
    added: list[np.ndarray] = []
    for k in range(first, len(index), LIKELIHOOD_BATCH):
        trajectories, frames = index[k : k + LIKELIHOOD_BATCH], t[k : k + LIKELIHOOD_BATCH]
        nats = simulator.log_likelihood(
            test.at(trajectories, frames),
            test.at(trajectories, frames + 1),
            test.params[trajectories],
            samples,
            rng,
        )
        added.append(require_nats(simulator, nats, len(trajectories)))
        if parts and parts.is_due():
            new, end = np.concatenate(added), k + len(trajectories)
            parts.keep(name, first, end, partial(_save, new), {"generator": rng.bit_generator.state})
            made, added, first = [*made, new], [], end
    return np.concatenate([*made, *added]) if made or added else np.empty(0)


def _save(array: np.ndarray, path: Path) -> None:
    with path.open("xb") as file:
        np.save(file, array, allow_pickle=False)


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
