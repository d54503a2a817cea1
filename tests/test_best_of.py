"""The expected best of n tries against brute force, and what a bootstrap's interval of it would be worth."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from nsbench.outcomes.best_of import best_of

VALUES = [3.0, 1.0, 7.5, 2.5, 2.5, -4.0, 11.0]


def brute_force(values, choose):
    """The mean over all subsets of n of the best in each; NaN where a subset has none."""
    means = []
    for n in range(1, len(values) + 1):
        bests = [choose([v for v in subset if v is not None], default=np.nan) for subset in combinations(values, n)]
        means.append(np.mean(bests))
    return means


@pytest.mark.parametrize(("direction", "choose"), [("min", min), ("max", max)])
@pytest.mark.parametrize("values", [VALUES, VALUES[:1], [*VALUES, None], [None, *VALUES[:4], None], [None, None]])
def test_the_best_of_n_is_the_mean_over_all_subsets_of_n(values, direction, choose):
    np.testing.assert_allclose(best_of(values, direction), brute_force(values, choose), rtol=1e-12)


def test_of_many_uniform_tries_the_best_of_n_is_one_in_n_plus_one():
    """N evenly spaced values k / (N + 1), of which the least of n is (N + 1) / (n + 1) / (N + 1) in the mean."""
    values = (np.arange(2000) + 1) / 2001
    n = np.arange(1, 2001)
    np.testing.assert_allclose(best_of(list(values), "min"), 1 / (n + 1), rtol=1e-9)


def test_the_order_of_tries_does_not_count_and_more_of_them_never_harm():
    expected = best_of(VALUES, "min")
    np.testing.assert_allclose(best_of(VALUES[::-1], "min"), expected)
    assert (np.diff(expected) <= 0).all()
    assert (expected[0], expected[-1]) == (pytest.approx(np.mean(VALUES)), min(VALUES))


def test_a_bootstrap_over_eight_tries_does_not_cover_what_it_promises():
    """Why there is no interval: 95 % intervals of the best of n, tries with standard normal values."""
    rng = np.random.default_rng(0)
    weights = np.array([[comb(7 - i, n - 1) / comb(8, n) for i in range(8)] for n in range(1, 9)])
    truth = (np.sort(rng.normal(size=(100_000, 8)), axis=1) @ weights.T).mean(axis=0)
    covered = np.zeros(8)
    for _ in range(300):
        tries = rng.normal(size=8)
        again = np.sort(tries[rng.integers(8, size=(400, 8))], axis=1) @ weights.T
        low, high = np.percentile(again, [2.5, 97.5], axis=0)
        covered += (low <= truth) & (truth <= high)
    assert covered[3] / 300 < 0.8
    assert covered[7] / 300 < 0.6
