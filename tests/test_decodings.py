"""Both decodings of a simulator: two rows from one fit, and a likelihood beside the process that it is of."""

from __future__ import annotations

import pytest

from conftest import SUITE
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.yaml import SuiteError

BOTH = SUITE.replace("{use: learner}", "{use: either}")


def rows_of(outcome):
    return {row.simulator: {score.metric: score for score in row.scores} for row in outcome.rows}


def test_both_decodings_are_scored_from_one_fit(bench):
    outcome, made, _ = bench(BOTH)
    rows = rows_of(outcome)
    assert set(rows) == {"truth", "either", "either-drawn"}
    assert made.count("fit of either") + made.count("fit of either-drawn") == 1
    simulated = {name: scores["length"].extras["simulated"] for name, scores in rows.items()}
    assert simulated["either"] in (1.0, 7.0)  # every toss falls on the likelier side
    assert 1.0 < simulated["either-drawn"] < 7.0


def test_the_likelihood_stands_beside_the_process_that_it_is_of(bench):
    rows = rows_of(bench(BOTH)[0])
    assert rows["either-drawn"]["elbo"].value < 0
    assert rows["either"]["elbo"].value is None
    assert "process that draws its sites" in rows["either"]["elbo"].absent


def test_one_decoding_is_one_row_and_shares_what_both_have_made(bench):
    bench(BOTH)
    outcome, made, _ = bench(BOTH, "protocol.decode=sample")
    assert set(rows_of(outcome)) == {"truth", "either"}
    assert "rollouts of either" not in made
    outcome, made, _ = bench(BOTH, "protocol.decode=mode")
    assert "rollouts of either" in made  # with its likelihood now: there is no other row for it
    assert rows_of(outcome)["either"]["elbo"].value < 0
    assert not [what for what in made if what.startswith("fit")]


def test_an_entry_that_names_its_decoding_stays_one(write_suite, registry):
    suite = read_suite(write_suite(BOTH.replace("{use: either}", "{use: either, decode: sample}")), registry)
    assert [use.name for use in suite.simulators] == ["truth", "either"]
    assert [trial.decode for trial in make_plan(suite, registry).trials] == ["mode", "sample"]
    assert all(trial.with_likelihood for trial in make_plan(suite, registry).trials)


@pytest.mark.parametrize("protocol", ["both", "mode", "sample"])
@pytest.mark.parametrize(
    ("entries", "measured"),
    [
        ("{use: either, decode: mode}", [True]),
        ("{use: either, decode: mode}\n  - {use: either, as: other, params: {rho: 0.25}, decode: sample}", [True] * 2),
        ("{use: either, decode: mode}\n  - {use: either, as: drawn, decode: sample}", [False, True]),
    ],
)
def test_a_likelihood_is_left_out_only_where_a_row_of_the_same_fit_has_it(
    write_suite, registry, entries, measured, protocol
):
    suite = read_suite(write_suite(BOTH.replace("{use: either}", entries)), registry, [f"protocol.decode={protocol}"])
    of = {trial.simulator: trial.with_likelihood for trial in make_plan(suite, registry).trials}
    assert [of[use.name] for use in suite.simulators if use.use == "either"] == measured


def test_a_resolved_suite_with_both_reads_back_equal(write_suite, registry, tmp_path):
    suite = read_suite(write_suite(BOTH), registry)
    (tmp_path / "again.yaml").write_text(suite.to_yaml())
    assert read_suite(tmp_path / "again.yaml", registry) == suite


def test_a_name_that_the_drawn_one_needs_is_taken_once(write_suite, registry):
    text = BOTH.replace("{use: coin, as: truth}", "{use: coin, as: either-drawn}")
    with pytest.raises(SuiteError, match="the name 'either-drawn' is taken"):
        read_suite(write_suite(text), registry)
