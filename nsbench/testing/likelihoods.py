"""Checks of a likelihood: it is a number, claims no more probability than there is, and improves with training.

Probability is summed over next states by brute force. Of a claim p(x' | x), exact or bounded from below,

    Σ_{x'} exp E[L_K(x')] ≤ Σ_{x'} p(x' | x) ≤ 1

over any set of next states; the sum is 1 where the likelihood is exact and the set holds all states of
positive probability. E[L_K] is the mean over repeats, and its Monte-Carlo error is allowed for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nsbench.components.contracts.broken import BrokenContract
from nsbench.components.simulator import Simulator
from nsbench.suite.seeds import generator
from nsbench.testing.findings import Blocked, Check, Finding, LeftOut, calling, place_of
from nsbench.testing.global_randomness import GENERATOR_RIGHT, changes, watched
from nsbench.testing.simulator_subject import FEW_TRANSITIONS, SimulatorSubject
from nsbench.trajectories.morphology import front

OPEN_SITES = 4
"""Sites that may attach in the sums: 2⁴ next states."""

REPEATS = 16
"""Evaluations of a bound, over which its mean is taken."""

TRANSITIONS = 64
"""Transitions of the test set that are looked at."""

CERTAIN = 1e-6
"""The most by which an exact sum may miss 1: single precision."""

States = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Situation:
    """A state float32[1, H, W] and sites that may attach.

    name: in words. complete: whether no other site may attach.
    """

    name: str
    state: States
    sites: NDArray[np.int64]  # [m, 2]
    complete: bool

    def next_states(self) -> States:
        """The next states float32[2^m, 1, H, W], one for each subset of the sites that may attach."""
        states = np.repeat(self.state[None], 2 ** len(self.sites), axis=0)
        for n, chosen in enumerate(product((0, 1), repeat=len(self.sites))):
            states[n, 0, self.sites[:, 0], self.sites[:, 1]] = chosen
        return states

    def molten(self) -> States:
        """The next states float32[k, 1, H, W] in which one of up to eight attached sites has melted."""
        attached = np.argwhere(self.state[0] > 0.5)
        chosen = attached[np.linspace(0, len(attached) - 1, min(8, len(attached))).astype(int)]
        states = np.repeat(self.next_states()[None], len(chosen), axis=0)
        for n, (i, j) in enumerate(chosen):
            states[n, :, 0, i, j] = 0
        return states.reshape(-1, *self.state.shape)


def is_a_number(subject: SimulatorSubject) -> Iterator[Finding]:
    """The likelihoods of b transitions that happened are float64[b] and finite; the same seed gives the same bits."""
    simulator = _claimant(subject)
    where, changed, results = place_of(simulator, "log_likelihood"), set[str](), []
    x, x_next, params = _transitions(subject)
    subject.likelihood_fails = True  # until it is seen not to
    for global_seed in (1, 2):
        with watched(changed, global_seed):
            results.append(_nats(simulator, x, x_next, params, 1, 0))
    nats = results[0]
    subject.likelihood_fails = not np.isfinite(nats).all()
    if nats.dtype != np.float64:
        yield Finding(where, f"returns {nats.dtype.name}", "nats are summed and compared in float64", "note")
    bad = ~np.isfinite(nats)
    if bad.any():
        what = "NaN" if np.isnan(nats).any() else "infinite"
        yield Finding(
            where,
            f"{what} for {int(bad.sum())} of {len(nats)} transitions that did happen",
            "a finite number: keep probabilities off 0 and 1 (logits and softplus, or a floor)",
        )
    yield from changes(where, changed)
    if not np.array_equal(results[0], results[1], equal_nan=True):
        yield Finding(where, "differs from call to call with generators in the same state", GENERATOR_RIGHT)


def is_a_bound(subject: SimulatorSubject) -> Iterator[Finding]:
    """The likelihood's exponentials over all next states of a few open sites do not sum to more than 1."""
    simulator = _claimant(subject)
    domain = subject.data.dataset.domain
    if domain.states != "growth" or len(domain.channels) != 1:
        raise LeftOut("states cannot be summed over: they are no growth of one channel")
    params = subject.data.test.params[:1]
    judge = _exactly_one if simulator.likelihood == "exact" else _at_most_one
    for situation in situations(subject):
        findings = list(judge(simulator, situation, params))
        yield from findings
        if findings:
            return


def _exactly_one(simulator: Simulator, situation: Situation, params: NDArray[np.float64]) -> Iterator[Finding]:
    total = float(np.exp(_weigh(simulator, situation.state, situation.next_states(), params, 1, 0)).sum())
    where = place_of(simulator, "log_likelihood")
    if not total <= 1 + CERTAIN:
        yield _too_much(where, situation, f"{total:.6g}")
    elif situation.complete and total < 1 - 1e3 * CERTAIN:
        melting = float(np.exp(_weigh(simulator, situation.state, situation.molten(), params, 1, 0)).sum())
        if melting < CERTAIN:
            yield Finding(
                where,
                f"probabilities of all {2 ** len(situation.sites)} next states of {situation.name} sum to {total:.6g}, "
                "and no attached site melts",
                'an exact likelihood sums to 1: what is lost? (a lower bound says likelihood = "elbo" or "vlb")',
            )


def _at_most_one(simulator: Simulator, situation: Situation, params: NDArray[np.float64]) -> Iterator[Finding]:
    states = situation.next_states()
    for samples in (1, 16) if simulator.likelihood == "elbo" else (1,):
        repeated = np.tile(states, (REPEATS, 1, 1, 1))
        nats = _weigh(simulator, situation.state, repeated, params, samples, samples).reshape(REPEATS, -1)
        total, error = log_total(nats)
        if not total <= max(4 * error, CERTAIN):
            yield _too_much(place_of(simulator, "log_likelihood"), situation, f"{np.exp(total):.4g} with K = {samples}")
            return


def log_total(nats: NDArray[np.float64]) -> tuple[float, float]:
    """The log of a sum and its standard error, (log Σ_x' exp mean_r L_r(x'), error), of float64[repeats, states].

    The error is that of the mean, by the delta method, with half the variance of each mean for the bias of its
    exponential.
    """
    mean = nats.mean(axis=0)
    total = float(np.logaddexp.reduce(mean))
    weights = np.exp(mean - total)
    variance = nats.var(axis=0, ddof=1) / len(nats)
    return total, float(np.sqrt((weights**2 * variance).sum()) + (weights * variance).sum() / 2)


def _too_much(where: str, situation: Situation, total: str) -> Finding:
    return Finding(
        where,
        f"probabilities of {2 ** len(situation.sites)} next states of {situation.name} sum to {total}",
        "at most 1: log p(x_next | x), or a lower bound on it, summed over all sites of a transition",
    )


def rises_with_samples(subject: SimulatorSubject) -> Iterator[Finding]:
    """L_K does not fall with K, beyond Monte-Carlo error."""
    simulator = _claimant(subject)
    if simulator.likelihood != "elbo":
        raise LeftOut(f"it is {simulator.likelihood}")
    x, x_next, params = _transitions(subject)
    single, several = (_nats(simulator, x, x_next, params, samples, samples) for samples in (1, 16))
    gain = several - single
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    if not gain.mean() >= -4 * error - CERTAIN:
        yield Finding(
            place_of(simulator, "log_likelihood"),
            f"falls with the number of importance samples: {single.mean():.4g} nats with K = 1, "
            f"{several.mean():.4g} with 16",
            "L_K = logsumexp over K samples, minus log K, rises with K",
        )


def improves_with_fit(subject: SimulatorSubject) -> Iterator[Finding]:
    """Validation transitions are more probable after a longer fit."""
    simulator = _claimant(subject)
    if not subject.learns:
        raise LeftOut("learns nothing")
    val = subject.data.val
    index, t = (a[:TRANSITIONS] for a in val.transitions())
    arguments = val.at(index, t), val.at(index, t + 1), val.params[index]
    fits = [subject.fit(transitions, 1) for transitions in (FEW_TRANSITIONS, subject.transitions)]
    if fits[0].saved() == fits[1].saved():
        raise Blocked("the budget does not count")
    short, long = (float(_nats(fit.simulator, *arguments, 1, 0).mean()) for fit in fits)
    if not long > short:
        yield Finding(
            place_of(simulator, "fit"),
            f"validation transitions have {long:.4g} nats after {subject.transitions} transitions, {short:.4g} after "
            f"{FEW_TRANSITIONS}",
            "the likelihood grows with training: is it that of what fit learned?",
            "note" if long == short == -np.inf else "finding",
        )


def situations(subject: SimulatorSubject) -> Iterator[Situation]:
    """A lattice that is full but for a few sites, and a crystal at its start with a few sites beside it."""
    domain = subject.data.dataset.domain
    height, width = domain.shape
    full = np.ones((1, height, width), np.float32)
    around = [[height // 2 + i, width // 2 + j] for i, j in product((0, 1), repeat=2)]
    middle = np.unique(np.minimum(around, (height - 1, width - 1)), axis=0)[:OPEN_SITES]  # a lattice may be a line
    full[0, middle[:, 0], middle[:, 1]] = 0
    yield Situation(f"a full lattice but for {len(middle)} sites", full, middle, complete=True)
    start = subject.data.test.frame(0)[0]
    open_sites = front(start > 0.5, domain.lattice)[0]
    if open_sites.any():
        sites = np.argwhere(open_sites)[:OPEN_SITES]
        yield Situation(f"a start with {len(sites)} sites beside it", start, sites, complete=False)


def _claimant(subject: SimulatorSubject) -> Simulator:
    """The fitted simulator. Raises LeftOut where it claims no likelihood, Blocked where that is no number."""
    simulator = subject.fitted
    if simulator.likelihood is None:
        raise LeftOut("none is claimed")
    if subject.likelihood_fails:
        raise Blocked("it is no number")
    return simulator


def _transitions(subject: SimulatorSubject) -> tuple[States, States, NDArray[np.float64]]:
    """Some transitions of the test split: (x, x_next, params)."""
    test = subject.data.test
    index, t = test.transitions()
    chosen = np.linspace(0, len(index) - 1, min(TRANSITIONS, len(index))).astype(int)
    index, t = index[chosen], t[chosen]
    return test.at(index, t), test.at(index, t + 1), test.params[index]


def _weigh(
    simulator: Simulator, state: States, states: States, params: NDArray[np.float64], samples: int, seed: int
) -> NDArray[np.float64]:
    x = np.repeat(state[None], len(states), axis=0)
    return _nats(simulator, x, states, np.repeat(params, len(states), axis=0), samples, seed)


def _nats(
    simulator: Simulator, x: States, x_next: States, params: NDArray[np.float64], samples: int, seed: int
) -> NDArray[np.float64]:
    with calling(simulator, "log_likelihood", f"return {len(x)} numbers, nats a transition"):
        nats = simulator.log_likelihood(x, x_next, params, samples, generator([seed]))
        if not isinstance(nats, np.ndarray) or nats.shape != (len(x),):
            got = f"{type(nats).__name__} of shape {getattr(nats, 'shape', None)}"
            raise BrokenContract(simulator, "log_likelihood", f"returned {got}", f"it must return float64[{len(x)}]")
    return nats


LIKELIHOOD_CHECKS: tuple[Check[SimulatorSubject], ...] = (
    Check("the likelihood is a number", is_a_number),
    Check("the likelihood is one: no more probability than 1", is_a_bound),
    Check("the bound rises with its samples", rises_with_samples),
    Check("the likelihood improves with the fit", improves_with_fit),
)
