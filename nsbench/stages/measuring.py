"""The measurement of a simulator on the test cases, by the fair protocol: rollouts, likelihoods, latents, costs.

Every simulator gets the same cases in the same batches, and all rollouts end by the same rule and horizon. Costs are
measured last, by themselves (nsbench/stages/costs.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nsbench.components.contracts.broken import BrokenContract
from nsbench.components.contracts.simulator import require_nats, require_rollout
from nsbench.components.evidence import Evidence, LatentUse, Likelihood
from nsbench.components.protocol import Bounds, Conditions, Protocol
from nsbench.components.simulator import Simulator
from nsbench.stages.annealing import annealed_likelihood
from nsbench.stages.costs import PeakMemory, measured_cost
from nsbench.stages.guided import guided_bound
from nsbench.stages.keeper import Keeper
from nsbench.stages.probing import latent_use
from nsbench.trajectories.base import Trajectories

LIKELIHOOD_BATCH, LEAST_BATCH = 256, 16
"""Transitions in a call of log_likelihood, at one sample each and at many: between two calls a run can stop."""

SAMPLES_AT_ONCE = 1024
"""States that a call decodes, where that leaves LEAST_BATCH transitions."""

KL_TRANSITIONS = 128
"""Transitions over which the KL of each latent is a mean."""


Arrays = dict[str, np.ndarray]
"""Arrays by name."""


@dataclass(frozen=True, eq=False)
class RolloutBatch:
    """The rollouts of a batch, and the most memory that the process held until they were made."""

    rollouts: Trajectories
    peak_bytes: int


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
    before_costs: Callable[[], None] = lambda: None,
) -> Evidence:
    """The evidence of a simulator on the test cases, framed trajectories.

    truth: the ground truth's simulator, timed in turn; None where there is none. parallel: how many trials the
    run has going at once. progress: called with the numbers of trajectories simulated, and in all. keeper: of the
    batches of rollouts and likelihoods, which are not made again if it has them. with_likelihood: False where the
    likelihood is of another decoding, which is measured by itself. before_costs: called when everything else is done,
    and may raise Postponed. Raises BrokenContract.
    """
    keeper = keeper or Keeper()
    start = test.start().select(np.repeat(np.arange(len(test)), protocol.members))
    rollout_rng, cost_rng, alone_rng, flop_rng, likelihood_rng, latent_rng = rng.spawn(6)
    with PeakMemory() as memory:
        batches = _rollouts(simulator, start, protocol, rollout_rng, memory, progress, keeper)
        likelihood = None
        if with_likelihood:
            likelihood = _likelihood(simulator, truth, test, protocol.bounds, likelihood_rng, keeper)
    use = _once(keeper, "use-of-latents", lambda: _arrays(latent_use(simulator, test, latent_rng)))
    before_costs()
    cost = measured_cost(
        simulator,
        truth,
        start,
        protocol,
        conditions,
        (cost_rng, alone_rng, flop_rng),
        fit_seconds=fit_seconds,
        threads=threads,
        parallel=parallel,
        peak_bytes=max(memory.peak, *(batch.peak_bytes for batch in batches)),
    )
    return Evidence(
        _joined(simulator, batches),
        protocol.members,
        cost,
        likelihood,
        LatentUse(**use) if use else None,
        drawn_elsewhere=not with_likelihood,
    )


def _rollouts(
    simulator: Simulator,
    start: Trajectories,
    protocol: Protocol,
    rng: np.random.Generator,
    memory: PeakMemory,
    progress: Callable[[int, int], None],
    keeper: Keeper,
) -> list[RolloutBatch]:
    """All rollouts, batch by batch, cut by the stop rule."""
    starts = [start.select(slice(k, k + protocol.batch)) for k in range(0, len(start), protocol.batch)]
    batch_rngs = rng.spawn(1 + len(starts))[1:]
    done = keeper.earlier("rollouts")
    simulated = sum(len(batch) for batch in starts[:done])
    for k in range(done, len(starts)):
        rollout = simulator.rollout(starts[k], protocol.horizon, batch_rngs[k])
        stopped = require_rollout(simulator, rollout, starts[k], protocol.horizon).stopped()
        batch = RolloutBatch(stopped, memory.peak)
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

    def rest() -> Arrays:
        """What is computed in one piece."""
        parts = {}
        if simulator.likelihood != "exact":
            parts["latents"] = simulator.latent_kl(*_pairs(test, index[few], t[few]))
        if by_samples and bounds and bounds.annealing:
            pairs = _pairs(test, index[some], t[some])
            parts["annealed"] = annealed_likelihood(simulator, *pairs, bounds.annealing, annealing_rng)
        if bounds and bounds.guided:
            parts["guided"] = guided_bound(simulator, test, bounds.guided, guided_rng)
        return {name: value for name, value in parts.items() if value is not None}

    pieces = _once(keeper, "rest-of-likelihood", rest)
    annealed = pieces.get("annealed")
    return Likelihood(
        simulator.likelihood,
        nats,
        transitions=chosen,
        bounds=by_samples,
        latents=pieces.get("latents"),
        truth=exact,
        annealed=annealed,
        annealed_of=None if annealed is None else some,
        guided=pieces.get("guided"),
    )


def _once(keeper: Keeper, series: str, make: Callable[[], Arrays]) -> Arrays:
    """Arrays that are made in one piece, and kept. Where there are none they are asked for again, at no cost."""
    if not keeper.earlier(series):
        arrays = make()
        if not arrays:
            return {}
        keeper.keep(series, dict(arrays), more=False)
    return dict(keeper.batches(series)[0])


def _arrays(use: LatentUse | None) -> Arrays:
    """The arrays of the use of latents; none without latents."""
    return {} if use is None else vars(use)


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
