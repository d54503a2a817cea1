"""Every interval of a table covers what it promises: 95 % of the time, few units or many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import toy
from nsbench.components.evidence import Evidence, LatentUse, Likelihood
from nsbench.components.intervals import bootstrap_interval, stretch
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.report.tables import notes
from nsbench_metrics.elbo import ELBO, ELBOParams
from nsbench_metrics.latent_neglect import LatentNeglect, LatentNeglectParams
from nsbench_metrics.posterior_collapse import PosteriorCollapse, PosteriorCollapseParams
from nsbench_metrics.shared.bootstrap import bootstrap_mean, estimate, mean

EXPERIMENTS = 1_000
RESAMPLES = 300


def coverage(draw, expected, units):
    """How often the interval of a mean over units holds the expected value."""
    rng = np.random.default_rng([units, 7])
    group = np.arange(units)
    hits = 0
    for _ in range(EXPERIMENTS):
        low, high = bootstrap_mean(draw(rng, units), group, RESAMPLES, rng)
        hits += low <= expected <= high
    return hits / EXPERIMENTS


@pytest.mark.parametrize("units", [4, 8, 16, 64])
def test_the_interval_of_a_mean_of_normal_values_covers_95_percent(units):
    assert 0.92 <= coverage(lambda rng, n: rng.normal(3.0, 2.0, n), 3.0, units) <= 0.99


@pytest.mark.parametrize(("units", "least"), [(4, 0.79), (8, 0.80), (16, 0.83), (64, 0.88)])
def test_the_interval_of_a_mean_of_skewed_values_covers_less_and_not_much_less(units, least):
    """Lognormal values with sigma 1, whose mean hangs on a few large ones: no interval from so few can know of them."""
    assert least <= coverage(lambda rng, n: rng.lognormal(0.0, 1.0, n), np.exp(0.5), units) <= 0.99


def test_fewer_than_four_units_give_no_interval():
    rng = np.random.default_rng(0)
    for units in (1, 2, 3):
        value, interval = estimate(mean(np.arange(1.0, units + 1)), units, 50, rng)
        assert value == (units + 1) / 2
        assert interval is None
        assert bootstrap_mean(np.ones(units), np.arange(units), 50, rng) is None


def test_intervals_stay_where_values_can_be():
    rng = np.random.default_rng(0)
    draws = rng.random(500)
    assert bootstrap_interval(0.5, draws, 4, within=(0.0, 1.0)) == (0.0, 1.0)
    low, high = bootstrap_interval(0.01, draws, 4, centred=True, within=(0.0, np.inf))
    assert low == 0.0
    assert high > 0.5


def test_many_units_need_no_stretching():
    assert stretch(4) == pytest.approx(np.sqrt(4 / 3) * 3.18245 / 1.95996, rel=1e-5)
    assert stretch(10_000) == pytest.approx(1.0, abs=1e-3)


def test_a_table_says_why_a_mean_has_no_interval():
    row = ScoreRow(metric="crps", unit="sites", direction="min", value=1.0, interval=(0.5, 1.5), items_by="ensemble")
    bare = replace(row, metric="mmd", interval=None)
    cost = replace(row, metric="wall_clock", interval=None, items_by=None)
    said = notes([TrialResult("a/b/r0", "a", "b", 0, "ok", {}, (row, bare, cost))])
    assert [note for note in said if "interval" in note] == [
        "no interval of mmd: the test data have fewer than 4 ensembles, or trajectories, to tell from how the score "
        "varies with them; or the metric gives none."
    ]


def test_intervals_over_ensembles_cover_where_members_agree_and_over_trajectories_do_not():
    """32 ensembles of 8 trajectories of 5 values each: an ensemble's share in common has twice the values' own spread."""
    rng, hits = np.random.default_rng(3), np.zeros(2)
    ensemble, trajectory = np.repeat(np.arange(32), 40), np.repeat(np.arange(256), 5)
    for _ in range(EXPERIMENTS):
        values = 3.0 + rng.normal(0, 2, 32)[ensemble] + rng.normal(0, 0.5, 256)[trajectory] + rng.normal(0, 1, 1280)
        for k, group in enumerate((ensemble, trajectory)):
            low, high = bootstrap_mean(values, group, RESAMPLES, rng)
            hits[k] += low <= 3.0 <= high
    by_ensemble, by_trajectory = hits / EXPERIMENTS
    assert 0.92 <= by_ensemble <= 0.98
    assert by_trajectory < 0.65


def coins(ensembles, repeats, rng):
    """Test cases of the toy plugin in which each value of rho comes so many times."""
    params = np.repeat(rng.uniform(0.2, 0.8, (ensembles, 1)), repeats, axis=0)
    return toy.toss(params, toy.Line(toy.LineParams()).domain, 6, rng).framed(1, 6)


@pytest.mark.slow
def test_the_likelihoods_interval_covers_its_expectation_over_cases_though_repeats_share_their_parameter():
    """A coin's log-likelihood, whose mean over rho is an integral: of all transitions, and of a random part of them."""
    rng, hits, widths = np.random.default_rng(5), np.zeros(2), []
    grid = np.linspace(0.2, 0.8, 4001)
    told = 0.9  # the simulator's own coin, whatever rho: its nats go with rho, so that repeats agree
    expected = float((grid * np.log(told) + (1 - grid) * np.log(1 - told)).mean())
    for _ in range(EXPERIMENTS):
        cases = coins(16, 6, rng)
        index, t = cases.transitions()
        heads = toy.length(cases.at(index, t + 1)) > toy.length(cases.at(index, t))
        nats = np.where(heads, np.log(told), np.log(1 - told))
        part = np.sort(rng.permutation(len(nats))[:100])
        for k, chosen in enumerate((None, part)):
            likelihood = Likelihood("exact", nats if chosen is None else nats[chosen], transitions=chosen)
            score = ELBO(ELBOParams(resamples=RESAMPLES)).score(Evidence(cases, 1, likelihood=likelihood), cases, rng)
            hits[k] += score.interval[0] <= expected <= score.interval[1]
        naive = bootstrap_mean(nats, index, RESAMPLES, rng)
        whole = bootstrap_mean(nats, index // 6, RESAMPLES, rng)
        widths.append((whole[1] - whole[0]) / (naive[1] - naive[0]))
    assert (hits / EXPERIMENTS >= 0.92).all()
    assert (hits / EXPERIMENTS <= 0.98).all()
    assert np.mean(widths) > 1.2


def test_intervals_of_latent_use_resample_ensembles():
    """Copies of a case say nothing new: six of each give the interval that one of each gives."""
    rng = np.random.default_rng(1)
    once = coins(12, 1, rng)
    copies = once.select(np.repeat(np.arange(12), 6))

    def interval(cases):
        index, _ = cases.transitions()
        kl = np.sin(cases.params[index, 0] * 40)
        use = LatentUse(index, kl, np.ones(2), np.ones(2), kl, kl, kl, kl, kl + 2)
        evidence = Evidence(cases, 1, latent_use=use)
        metrics = (PosteriorCollapse(PosteriorCollapseParams()), LatentNeglect(LatentNeglectParams()))
        return [m.score(evidence, cases, np.random.default_rng(0)).interval for m in metrics]

    np.testing.assert_allclose(interval(copies), interval(once), rtol=1e-9)
