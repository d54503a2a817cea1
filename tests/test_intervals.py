"""Every interval of a table covers what it promises: 95 % of the time, few units or many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsbench.components.intervals import bootstrap_interval, stretch
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.report.tables import notes
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
