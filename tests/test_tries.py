"""Tries of a grid: nested, blind to their place in the suite, cheap however large the grid; and series, in no key."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from conftest import SUITE
from nsbench.outcomes.stored import StoredResults
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.tries import draw_tries
from nsbench.suite.yaml import SuiteError

pytestmark = pytest.mark.usefixtures("quick_disk")

GRID = "grid: {rho: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}"


def with_learner(entry):
    return SUITE.replace("{use: learner}", entry)


@pytest.fixture
def names(write_suite, registry):
    """The names of a suite's simulators, the truth left out."""

    def read(text, *overrides):
        return [
            use.name for use in read_suite(write_suite(text), registry, overrides).simulators if use.name != "truth"
        ]

    return read


def test_draws_are_nested_and_all_different():
    grid = {"a": list(range(5)), "b": list(range(4))}
    every = draw_tries(grid, 20, [0])
    assert len(set(every)) == 20
    assert all(draw_tries(grid, n, [0]) == every[:n] for n in range(1, 20))
    assert draw_tries(grid, 20, [1]) != every


def test_a_billion_combinations_are_not_counted_out():
    grid = {name: list(range(1000)) for name in "abc"}
    assert len(set(draw_tries(grid, 100, [0]))) == 100


def test_every_combination_is_as_likely_as_any_other():
    """First draws and second draws from 2 × 3 combinations, 3,000 seeds: χ² of 5 degrees is above 20.5 once in 1,000."""
    grid = {"a": [0, 1], "b": [0, 1, 2]}
    pairs = [draw_tries(grid, 2, [seed]) for seed in range(3000)]
    for place in range(2):
        counts = Counter(pair[place] for pair in pairs)
        assert sum((counts[i, k] - 500) ** 2 / 500 for i in range(2) for k in range(3)) < 20.5


def test_the_order_of_parameters_changes_no_try():
    one, two = {"a": [1, 2, 3], "b": [5, 6]}, {"b": [5, 6], "a": [1, 2, 3]}
    assert [(a, b) for b, a in draw_tries(two, 4, [0])] == draw_tries(one, 4, [0])


def test_tries_are_members_of_the_grid_whatever_else_the_suite_holds(names):
    entry = f"{{use: learner, tries: 3, {GRID}}}"
    tries = names(with_learner(entry))
    assert len(tries) == 3
    assert set(tries) < set(names(with_learner(f"{{use: learner, {GRID}}}")))
    assert names(with_learner(f"{{use: either, decode: mode}}\n  - {entry}"))[1:] == tries
    assert names(with_learner(entry), "simulators[1].tries=2") == tries[:2]
    assert names(with_learner(entry), "seed=1") != tries
    other = names(with_learner(entry.replace("learner,", "learner, as: other,")))
    assert [name.removeprefix("other") for name in other] != [name.removeprefix("learner") for name in tries]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("{use: learner, tries: 3}", "simulators[1].tries: there is no grid to draw them from; add grid:"),
        ("{use: learner, tries: 3, grid: {}}", "simulators[1].tries: there is no grid to draw them from; add grid:"),
        (f"{{use: learner, tries: 9, {GRID}}}", "simulators[1].tries: the grid has 8 combinations, fewer than 9 tries"),
        (f"{{use: learner, tries: 0, {GRID}}}", "simulators[1].tries: must be a number of combinations, 1 or more"),
        (f"{{use: learner, tries: many, {GRID}}}", "simulators[1].tries: must be a number of combinations, 1 or more"),
        ("{use: learner, tries: 2, grid: {rho: 0.1}}", "simulators[1].grid: must be parameter: [values]"),
        ("{use: learner, series: ../up}", "simulators[1].series: names are letters, digits"),
    ],
)
def test_tries_that_cannot_be_made_name_place_and_cure(write_suite, registry, entry, fault):
    with pytest.raises(SuiteError) as caught:
        read_suite(write_suite(with_learner(entry)), registry)
    assert [fault in str(each) for each in caught.value.faults] == [True]
    assert "suite.yaml:6: " in str(caught.value)


def test_the_limit_of_trials_counts_tries_and_not_combinations(write_suite, registry):
    values = json.dumps([k / 1000 for k in range(1, 400)])
    few = f"{{use: learner, tries: 5, grid: {{rho: {values}, a: {values}}}}}"
    with pytest.raises(SuiteError, match=r"a: unknown"):  # of one of the five, and not that they are too many
        read_suite(write_suite(with_learner(few)), registry)
    with pytest.raises(SuiteError, match="too many combinations"):
        read_suite(write_suite(with_learner(few.replace("5", "10001", 1))), registry)


def test_a_series_is_the_name_of_the_entry_and_changes_no_key(write_suite, registry):
    def plan(text):
        return make_plan(read_suite(write_suite(text), registry), registry)

    grown = plan(with_learner("{use: learner, as: mine, grid: {rho: [0.2, 0.3]}}"))
    assert [trial.series for trial in grown.trials] == ["", "mine", "mine"]
    bare = with_learner("{use: learner, as: a, params: {rho: 0.2}}\n  - {use: learner, as: b, params: {rho: 0.3}}")
    named = bare.replace("as: a,", "as: a, series: mine,").replace("as: b,", "as: b, series: other,")
    assert [trial.series for trial in plan(named).trials] == ["", "mine", "other"]
    keys = [[list(trial.keys().values()) for trial in plan(text).trials] for text in (bare, named)]
    assert keys[0] == keys[1] == [list(trial.keys().values()) for trial in grown.trials]


def test_each_decoding_is_a_series_of_its_own(write_suite, registry):
    text = with_learner(f"{{use: either, tries: 2, {GRID}}}")
    suite = read_suite(write_suite(text), registry)
    assert [use.series for use in suite.simulators] == ["", "either", "either-drawn", "either", "either-drawn"]
    again = read_suite(write_suite(suite.to_yaml(), name="again.yaml"), registry)
    assert again == suite  # drawn once: the resolved suite names its tries


def test_rows_say_their_series_and_another_one_makes_nothing_anew(bench, registry, write_suite):
    from nsbench.suite.session import Session

    text = with_learner("{use: learner, as: mine, grid: {rho: [0.2, 0.3]}}")
    outcome, _, _ = bench(text)
    assert [row.series for row in outcome.rows] == ["", "mine", "mine"]
    other = text.replace("as: mine", "as: mine, series: other")
    plan = make_plan(read_suite(write_suite(other), registry), registry)
    stored = StoredResults(Session(plan, registry, bench.workspace))
    assert [row.series for row in stored.rows.values()] == ["", "other", "other"]
    _, made, _ = bench(other)
    assert made == []
