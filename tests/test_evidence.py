"""The fair protocol: the same cases for all, contracts held, likelihoods right."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import toy
from nsbench.components.contracts.broken import BrokenContract
from nsbench.components.evidence import Evidence
from nsbench.components.protocol import Bounds, Conditions, Protocol
from nsbench.stages.measuring import collect
from nsbench_metrics.elbo import ELBO, ELBOParams

PROTOCOL = Protocol(stride=1, horizon=6, batch=7)


@pytest.fixture(scope="module")
def test_cases():
    line = toy.Line(toy.LineParams(test=300))
    return line.prepare("test", np.random.default_rng(0)).framed(1, 6)


def evidence_of(simulator, cases, protocol=PROTOCOL, seed=1):
    return collect(
        simulator, cases, protocol, Conditions(), np.random.default_rng(seed), truth=None, fit_seconds=None, threads=1
    )


def test_an_exact_likelihood_is_taken_as_it_is(test_cases):
    evidence = evidence_of(toy.Coin(toy.CoinParams()), test_cases)
    rho = test_cases.params[test_cases.transitions()[0], 0]
    index, t = test_cases.transitions()
    heads = toy.length(test_cases.at(index, t + 1)) > toy.length(test_cases.at(index, t))
    np.testing.assert_allclose(evidence.likelihood.nats, np.where(heads, np.log(rho), np.log(1 - rho)))
    assert evidence.likelihood.bounds == {}
    entropy = (rho * np.log(rho) + (1 - rho) * np.log(1 - rho)).mean()
    assert evidence.likelihood.nats.mean() == pytest.approx(entropy, abs=0.05)


class HiddenCoins(toy.Coin):
    """The same coin through three hidden ones: z ∈ {0, 1}³ fair, heads with probability (Σz + ½) / 4.

    The evidence can be summed exactly over the eight z; the posterior used is the prior.
    """

    likelihood = "elbo"

    def log_likelihood(self, x, x_next, params, samples, rng):
        heads = (toy.length(x_next) > toy.length(x))[:, None]
        z = rng.integers(0, 2, (len(x), samples, 3)).sum(-1)
        p = (z + 0.5) / 4
        terms = np.where(heads, np.log(p), np.log(1 - p))
        return np.logaddexp.reduce(terms, axis=1) - np.log(samples)


def test_bounds_rise_with_samples_towards_the_evidence_summed_exactly(test_cases):
    protocol = PROTOCOL.model_copy(update={"bounds": Bounds(samples=[1, 16, 64], transitions=1500)})
    likelihood = evidence_of(HiddenCoins(toy.CoinParams()), test_cases, protocol).likelihood
    p = np.mean([(sum(z) + 0.5) / 4 for z in product((0, 1), repeat=3)])
    index, t = (side[likelihood.transitions] for side in test_cases.transitions())
    heads = toy.length(test_cases.at(index, t + 1)) > toy.length(test_cases.at(index, t))
    exact = np.where(heads, np.log(p), np.log(1 - p)).mean()
    one, sixteen, sixty_four = (likelihood.bounds[k].mean() for k in (1, 16, 64))
    np.testing.assert_array_equal(likelihood.nats, likelihood.bounds[64])
    assert likelihood.label == "L_64"
    assert one < sixteen - 0.05 < sixteen <= sixty_four + 0.02
    assert sixty_four <= exact + 0.02


def test_bounds_are_of_the_same_transitions_for_all_simulators_and_seeds_and_of_all_where_asked(test_cases):
    def evaluated(transitions, seed=1, simulator=None):
        protocol = PROTOCOL.model_copy(update={"bounds": Bounds(samples=[1, 4], transitions=transitions)})
        return evidence_of(simulator or HiddenCoins(toy.CoinParams()), test_cases, protocol, seed).likelihood

    few, again, more, every = evaluated(100), evaluated(100, seed=2), evaluated(200), evaluated("all")
    np.testing.assert_array_equal(few.transitions, again.transitions)
    assert (few.nats != again.nats).any()
    assert len(np.unique(few.transitions)) == 100
    assert set(few.transitions) < set(more.transitions)
    assert len(np.unique(test_cases.transitions()[0][few.transitions])) > 80  # of 300 trajectories
    np.testing.assert_array_equal(every.transitions, np.arange(len(test_cases.transitions()[0])))
    exact = evaluated(100, simulator=toy.Coin(toy.CoinParams()))
    assert (exact.label, exact.transitions, len(exact.nats)) == ("exact", None, len(every.nats))


def test_annealing_is_asked_of_some_of_these_transitions(test_cases):
    class Annealed(HiddenCoins):
        def annealed_likelihood(self, x, x_next, params, distributions, rng):
            return np.full(len(x), -float(distributions))

    bounds = Bounds(samples=[1, 16], transitions=300, annealing=7, annealed=20)
    likelihood = evidence_of(
        Annealed(toy.CoinParams()), test_cases, PROTOCOL.model_copy(update={"bounds": bounds})
    ).likelihood
    score = ELBO(ELBOParams()).score(
        Evidence(test_cases, 1, likelihood=likelihood), test_cases, np.random.default_rng(0)
    )
    assert (score.extras["annealed"], score.extras["annealed_transitions"]) == (-7, 20)
    assert score.extras["annealed_bound"] == likelihood.bounds[16][likelihood.annealed_of].mean()
    none = bounds.model_copy(update={"annealing": 0})
    without = evidence_of(Annealed(toy.CoinParams()), test_cases, PROTOCOL.model_copy(update={"bounds": none}))
    assert without.likelihood.annealed is None


def test_the_truths_own_likelihood_stands_beside_that_of_the_same_transitions(test_cases):
    protocol = PROTOCOL.model_copy(update={"bounds": Bounds(samples=[64], transitions=1000)})
    truth = toy.Coin(toy.CoinParams())
    likelihood = collect(
        HiddenCoins(toy.CoinParams()), test_cases, protocol, Conditions(), np.random.default_rng(0),
        truth=truth, fit_seconds=None, threads=1,
    ).likelihood  # fmt: skip
    whole = evidence_of(truth, test_cases).likelihood
    np.testing.assert_array_equal(likelihood.truth, whole.nats[likelihood.transitions])
    evidence = Evidence(test_cases, 1, likelihood=likelihood)
    score = ELBO(ELBOParams()).score(evidence, test_cases, np.random.default_rng(0))
    rho = test_cases.params[:, 0]
    divergence = rho * np.log(rho / 0.5) + (1 - rho) * np.log((1 - rho) / 0.5)  # the hidden coins' evidence is ½
    assert score.extras["gap"] == pytest.approx(divergence.mean(), abs=0.04)
    assert score.extras["gap_low"] < divergence.mean() < score.extras["gap_high"]
    assert score.label == "L_64"
    assert score.extras["transitions"] == np.isfinite(score.items).sum() == 1000


def test_members_of_a_case_stand_side_by_side_and_differ(test_cases):
    evidence = evidence_of(toy.Coin(toy.CoinParams()), test_cases, PROTOCOL.model_copy(update={"members": 3}))
    assert len(evidence.rollouts) == 900
    np.testing.assert_array_equal(evidence.rollouts.params[::3], test_cases.params)
    by_case = toy.length(evidence.rollouts.final()).reshape(300, 3)
    assert (by_case.std(axis=1) > 0).mean() > 0.5


def test_the_same_seed_gives_the_same_bits_and_another_others(test_cases):
    coin = toy.Coin(toy.CoinParams())
    a, b, c = (evidence_of(coin, test_cases, seed=s).rollouts.arrival for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_rollouts_of_the_truth_have_the_truths_distribution(test_cases):
    rollouts = evidence_of(toy.Coin(toy.CoinParams()), test_cases).rollouts
    mean = 1 + 6 * test_cases.params[:, 0].mean()
    spread = np.sqrt(6 * 0.25 / 300)
    assert toy.length(rollouts.final()).mean() == pytest.approx(mean, abs=4 * spread)


class Frozen(toy.Coin):
    """Every wrong thing that a rollout can be, by name."""

    def __init__(self, how):
        super().__init__(toy.CoinParams())
        self.how = how

    def rollout(self, start, steps, rng):
        from dataclasses import replace

        fine = super().rollout(start, steps, rng)
        if self.how == "too long":
            return replace(fine, lengths=fine.lengths + np.int32(9))
        if self.how == "another start":
            moved = np.where(fine.arrival == 0, -1, fine.arrival).astype(np.int32)
            return replace(fine, arrival=moved)
        if self.how == "another domain":
            return replace(fine, domain=replace(fine.domain, stride=2))
        if self.how == "too few":
            return fine.select(slice(0, 3))
        return fine.arrival


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("too long", "at most 6 frames, got 15"),
        ("another start", "begin with the start's own state"),
        ("another domain", "keep the domain"),
        ("too few", "the trajectories of its start"),
        ("an array", "must return Trajectories, got ndarray"),
    ],
)
def test_a_rollout_that_breaks_its_contract_is_refused(test_cases, how, message):
    with pytest.raises(BrokenContract, match=message):
        evidence_of(Frozen(how), test_cases)


def test_a_likelihood_that_is_no_number_is_refused(test_cases):
    class Lost(toy.Coin):
        def log_likelihood(self, x, x_next, params, samples, rng):
            return np.full(len(x), np.nan)

    with pytest.raises(BrokenContract, match="finite"):
        evidence_of(Lost(toy.CoinParams()), test_cases)


def test_costs_are_measured_last_simulator_and_ground_truth_in_turn_on_the_same_cases(test_cases):
    calls = []

    class Watched(toy.Coin):
        def rollout(self, start, steps, rng):
            calls.append((self, len(start), steps, tuple(start.params[:, 0])))
            return super().rollout(start, steps, rng)

    mine, truth = Watched(toy.CoinParams()), Watched(toy.CoinParams())
    simulated = []
    cost = collect(
        mine, test_cases, PROTOCOL, Conditions(), np.random.default_rng(0), truth=truth, fit_seconds=2.0, threads=3,
        before_costs=lambda: simulated.extend(calls),
    ).cost  # fmt: skip
    assert [call[:3] for call in simulated] == [(mine, size, 6) for size in [7] * 42 + [6]]
    calls = calls[43:]
    warm, timed, alone = calls[:2], calls[2:6], calls[6:]
    assert [call[:3] for call in warm] == [(mine, 7, 2), (truth, 7, 2)]
    assert [call[:3] for call in timed] == [(who, 7, 6) for _ in range(2) for who in (mine, truth)]
    assert all(his[3] == its[3] for his, its in zip(timed[::2], timed[1::2], strict=True))
    assert len({case for call in timed[::2] for case in call[3]}) == 14
    assert {call[:2] for call in alone} == {(mine, 1)}
    assert (cost.batch, cost.fit_seconds, cost.threads) == (7, 2.0, 3)
    assert min(cost.ms_per_trajectory, cost.ms_per_trajectory_alone, cost.truth_ms_per_trajectory) > 0
