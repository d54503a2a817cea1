"""Two simulators held against each other: pairs, verdicts, words, and what is said when there is nothing."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import toy
from coins import COINS, PLAIN, Ran
from nsbench.commands import main as cli
from nsbench.outcomes.comparison import CannotCompare, compare
from nsbench.outcomes.pairing import CaseGroups, NoPairs, case_groups, unit_scores
from nsbench.report.comparison import comparison_table, sentences, to_csv, to_json
from nsbench.trajectories.domain import Domain, Observable, Parameter
from nsbench.trajectories.growth import GrowthTrajectories


@pytest.fixture(scope="module")
def coins(tmp_path_factory, registry):
    return Ran(tmp_path_factory.mktemp("coins"), registry)


@pytest.fixture(scope="module")
def thrice(tmp_path_factory, registry):
    return Ran(tmp_path_factory.mktemp("thrice"), registry, COINS + "replicates: 3\n")


@pytest.fixture
def fresh(tmp_path, registry):
    """Runs a suite in a workspace of this test's own."""
    return lambda text=PLAIN, execute=True: Ran(tmp_path, registry, text, execute=execute)


def held(ran, a, b, margin=None):
    return compare(ran.stored, a, b, margin)


def row(found, metric):
    return next(row for row in found.rows if row.metric == metric)


def never():
    raise AssertionError("the test data is not needed")


def test_a_better_likelihood_is_found_better_whichever_way_it_is_asked(coins):
    """The coin that knows ρ is better than one that does not, on every ensemble in expectation."""
    one, other = held(coins, "truth", "half"), held(coins, "half", "truth")
    elbo = row(one, "elbo")
    assert (elbo.verdict, row(other, "elbo").verdict) == ("a", "b")
    assert elbo.paired.difference > 0
    assert elbo.paired.interval[0] > 0
    assert elbo.paired.units == 60  # every test case has a ρ of its own
    assert row(other, "elbo").paired.interval == pytest.approx(tuple(-end for end in elbo.paired.interval[::-1]))


def test_direction_is_respected(coins):
    ewd = row(held(coins, "truth", "sure"), "ewd")
    assert (ewd.paired.units, ewd.primary) == (12, True)
    assert ewd.paired.difference < 0
    assert ewd.verdict == "a"  # smaller is better


def test_values_differences_and_effects_are_those_of_the_results(coins):
    for r in held(coins, "truth", "half").rows:
        own, other = (coins.rows[name][r.metric] for name in ("truth", "half"))
        assert (r.a, r.b) == (own.value, other.value)
        assert r.paired.difference == pytest.approx(own.value - other.value, rel=1e-9)
        assert r.effect == (None if own.floor is None else pytest.approx(r.paired.difference / abs(own.floor)))


def test_a_winner_has_an_interval_clear_of_zero_and_a_small_corrected_p(coins):
    for other in ("learner", "half", "sure"):
        for r in held(coins, "truth", other).rows:
            if r.verdict in ("a", "b"):
                assert r.p_adjusted < 0.05
                assert r.paired.interval[0] > 0 or r.paired.interval[1] < 0
            if r.p_adjusted is not None:
                assert r.p_adjusted >= r.paired.p


def test_what_has_no_pairs_has_no_test(coins):
    found = held(coins, "truth", "half")
    for metric in ("length", "wall_clock"):
        assert row(found, metric).verdict == "untested"
        assert row(found, metric).paired.p is None
        assert "no test" in row(found, metric).reason
    assert any("one fit of each" in note for note in found.notes)


def test_replicates_are_paired_too_and_costs_have_intervals_over_them(thrice):
    found = held(thrice, "truth", "half")
    assert row(found, "elbo").paired.replicates == 3
    assert row(found, "elbo").over == "60 ensembles × 3 replicates"
    assert row(found, "wall_clock").paired.interval is not None
    assert row(found, "wall_clock").verdict == "untested"
    assert not any("one fit of each" in note for note in found.notes)


def test_likelihoods_of_different_kinds_are_not_compared(fresh, monkeypatch):
    monkeypatch.setattr(toy.Learner, "likelihood", "vlb")
    elbo = row(held(fresh(), "truth", "learner"), "elbo")
    assert (elbo.verdict, elbo.paired) == ("not compared", None)
    assert "exact nats/transition and vlb nats/transition" in elbo.reason


def test_a_simulator_without_a_likelihood_is_not_compared_by_it(fresh, monkeypatch):
    monkeypatch.setattr(toy.Learner, "likelihood", None)
    elbo = row(held(fresh(), "truth", "learner"), "elbo")
    assert elbo.verdict == "not compared"
    assert "no likelihood" in elbo.reason
    assert elbo.b is None


def test_names_are_checked_with_a_hint(coins):
    with pytest.raises(CannotCompare, match="no simulator 'lerner'; did you mean 'learner'"):
        held(coins, "truth", "lerner")
    with pytest.raises(CannotCompare, match="with itself"):
        held(coins, "truth", "truth")


def test_what_failed_is_named(coins):
    with pytest.raises(CannotCompare, match=r"line/failing/r0 failed: .*the loss is on fire"):
        held(coins, "truth", "failing")


def test_what_has_not_been_run_is_named(fresh):
    with pytest.raises(CannotCompare, match="line/truth/r0 has not been run"):
        held(fresh(execute=False), "truth", "half")


def test_results_of_another_version_of_the_suite_are_not_taken_for_this_one(fresh):
    fresh()
    with pytest.raises(CannotCompare, match="as the suite, or the code, was before"):
        held(fresh(PLAIN.replace("horizon: 6", "horizon: 5"), execute=False), "truth", "half")


def test_a_replicate_that_failed_is_left_out_and_said(fresh, monkeypatch):
    fits = []

    def fit(self, train, val, ctx):
        fits.append(1)
        if len(fits) == 2:
            raise RuntimeError("out of luck")
        self.learned = 0.5

    monkeypatch.setattr(toy.Learner, "fit", fit)
    found = held(fresh(PLAIN + "replicates: 3\n"), "truth", "learner")
    assert row(found, "elbo").paired.replicates == 2
    assert any("left out: line/learner/r1 failed: " in note for note in found.notes)


def test_a_sentence_for_each_metric_claims_no_more_than_the_test(coins):
    for pair in (("truth", "half"), ("learner", "half")):
        found = held(coins, *pair)
        for r, line in zip(found.rows, sentences(found), strict=False):
            role = "primary" if r.metric == "ewd" else "exploratory"
            assert line.startswith(f"{r.metric} ({role}): ")
            assert (" is better than " in line) == (r.verdict in ("a", "b"))
            assert (" undecided: " in line) == (r.verdict == "undecided")
            assert ("no test" in line) == (r.verdict == "untested")


def test_the_primary_metric_is_corrected_for_all_simulators_and_the_others_for_each_other(coins):
    """Three simulators are held against the baseline (the fourth failed); the pair has one other metric with pairs."""
    found = held(coins, "half", "truth")
    assert [(r.metric, r.primary, r.tests) for r in found.rows if r.p_adjusted is not None] == [
        ("ewd", True, 3),
        ("elbo", False, 1),
    ]
    family = held(coins, "", "truth")
    assert [(r.simulator, r.metric) for r in family.rows] == [(name, "ewd") for name in ("learner", "half", "sure")]
    assert next(r for r in family.rows if r.simulator == "half").p_adjusted == row(found, "ewd").p_adjusted


def test_the_primary_metric_of_the_suite_decides(fresh):
    ran = fresh(PLAIN + "primary: length\n")
    assert [r.metric for r in held(ran, "half", "truth").rows if r.primary] == ["length"]


def test_the_same_simulator_twice_is_equivalent_and_one_that_is_far_is_not(fresh):
    """Two names for one coin differ by the noise of their fits and rollouts alone: 0 in likelihood."""
    twin = "  - {use: coin, as: twin}\n  - {use: failing}\n"
    ran = fresh(PLAIN.replace("  - {use: failing}\n", twin))
    assert row(held(ran, "twin", "truth", margin=0.1), "elbo").verdict == "equivalent"
    assert row(held(ran, "twin", "truth"), "elbo").verdict == "undecided"
    far = held(ran, "half", "truth", margin=0.01)
    assert row(far, "elbo").verdict == "b"
    assert row(far, "elbo").p_equivalent > 0.05
    with pytest.raises(CannotCompare, match="between 0 and 1"):
        held(ran, "half", "truth", margin=2.0)


def test_what_is_undecided_says_what_would_decide(thrice):
    for name in ("learner", "half", "sure"):
        for r, line in zip((found := held(thrice, name, "truth")).rows, sentences(found), strict=False):
            if r.verdict == "undecided":
                assert ("more test cases are needed" in line) != ("fits of each" in line)
            assert (r.needed is not None) == (r.verdict == "undecided")


def test_csv_and_json_say_the_same(coins):
    found = held(coins, "truth", "half")
    rows, content = list(csv.DictReader(io.StringIO(to_csv(found)))), json.loads(to_json(found))
    metrics = ["ewd", "elbo", "length", "wall_clock"]
    assert [r["metric"] for r in rows] == [r["metric"] for r in content["metrics"]] == metrics
    assert float(rows[1]["difference"]) == content["metrics"][1]["difference"] == found.rows[1].paired.difference
    assert content["metrics"][1]["better"] == "truth"
    assert content["metrics"][2]["p"] is None
    assert rows[2]["p"] == ""
    assert len(comparison_table(found).rows) == 4


def test_the_command_prints_a_table_and_sentences(coins, registry, monkeypatch):
    monkeypatch.setattr("nsbench.commands.options.installed", lambda: registry)
    call = ["compare", str(coins.suite), "truth", "half", "--workspace", str(coins.workspace.root)]
    done = CliRunner().invoke(cli.main, call)
    assert done.exit_code == 0
    assert "| elbo ↑ nats/transition |" in done.output
    assert "elbo (exploratory): truth is better than half" in done.output
    assert "primary: ewd, named before anything was run, decides" in done.output
    assert json.loads(CliRunner().invoke(cli.main, [*call, "--format", "json"]).output)["a"] == "truth"
    everything = CliRunner().invoke(cli.main, [*call[:2], "truth", *call[4:], "--margin", "0.5"]).output
    assert "| simulator | ewd ↓ sites | truth |" in everything
    assert [line for line in ("learner", "half", "sure") if f"| {line} |" not in everything] == []
    assert "p within 50 %" in everything
    wrong = CliRunner().invoke(cli.main, [*call[:3], "hlf", *call[4:]])
    assert wrong.exit_code == 2
    assert "did you mean 'half'?" in wrong.output


def test_compare_reads_and_computes_nothing(fresh):
    """Whatever the store lacks is said, not made: without test data transitions cannot be told apart."""
    ran = fresh()
    shutil.rmtree(ran.workspace.store / "data")
    elbo = row(held(ran, "truth", "half"), "elbo")
    assert elbo.reason == "no test: the test data is not in the store"
    assert elbo.paired.difference > 0
    assert not (ran.workspace.store / "data").exists()


def growth(rho, lengths):
    area = Observable("area", "sites", lambda state: state.sum(axis=(1, 2, 3)).astype(np.float64))
    domain = Domain("square", (1, 8), ("attached",), "growth", (Parameter("rho", 0.2, 0.8),), "rho", (area,), stride=1)
    arrival = np.full((len(rho), 1, 8), -1, np.int32)
    arrival[:, 0, 0] = 0
    return GrowthTrajectories(np.array(rho)[:, None], np.array(lengths, np.int32), domain, arrival)


def test_transitions_are_gathered_by_ensemble():
    """Two cases share ρ = 0.3 and make one unit; 0.5 another: 1 + 2 + 2 transitions."""
    groups = case_groups(growth([0.3, 0.5, 0.3], [2, 3, 3]))
    assert sorted(groups.sizes) == [1, 2]
    found = unit_scores(np.array([1.0, 10.0, 20.0, 2.0, 6.0]), "transition", 39 / 5, lambda: groups)
    by_weight = dict(zip(found.weights, found.values, strict=True))
    assert by_weight == {3.0: 3.0, 2.0: 15.0}


def test_transitions_that_were_not_scored_count_nowhere():
    """A bound of some of the transitions: NaN stands at the others."""
    groups = case_groups(growth([0.3, 0.5, 0.3], [2, 3, 3]))
    some = np.array([1.0, np.nan, 20.0, np.nan, 6.0])
    found = unit_scores(some, "transition", 9.0, lambda: groups)
    assert dict(zip(found.weights, found.values, strict=True)) == {2.0: 3.5, 1.0: 20.0}
    with pytest.raises(NoPairs, match="not the mean"):
        unit_scores(np.full(5, np.nan), "transition", 0.0, lambda: groups)
    with pytest.raises(NoPairs, match="not finite"):
        unit_scores(np.array([1.0, -np.inf, 20.0, 2.0, 6.0]), "transition", 0.0, lambda: groups)


def test_ensembles_of_different_sizes_are_weighted_by_their_truths():
    items, groups = np.array([[1.0, 3.0], [4.0, 6.0]]), CaseGroups(np.array([1.0, 3.0]), np.array([], np.int64))
    assert unit_scores(items, "ensemble", (2 + 3 * 5) / 4, lambda: groups).weights.tolist() == [1, 3]
    assert unit_scores(items, "ensemble", 3.5, never).values.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("items", "items_by", "value", "message"),
    [
        ([], "bin", 1.0, "not a mean over test cases"),
        ([1.0, 2.0], None, 1.5, "not a mean over test cases"),
        ([1.0, 2.0], "bin", 1.7, "not the mean of its items"),
        ([1.0, np.nan], "bin", 1.0, "not finite"),
        ([1.0, 2.0], "moon", 1.5, "'moon'"),
    ],
)
def test_items_that_are_no_pairs_are_refused(items, items_by, value, message):
    with pytest.raises(NoPairs, match=message):
        unit_scores(np.array(items), items_by, value, never)


@pytest.mark.parametrize(
    "name",
    [
        "ewd",
        "brier",
        "energy_distance",
        "energy_score",
        "variogram_score",
        "growth_rate",
        "arrival_error",
        "divergence",
        "mmd",
        "sliced_wasserstein",
        "sliced_energy",
        "nearest_neighbour",
    ],
)
def test_metrics_that_name_their_items_are_the_means_of_them(name, crystals, registry):
    """What `items_by` promises, on crystals held against others."""
    from nsbench.components.evidence import Cost, Evidence
    from nsbench.registry.loading import build

    truth = crystals[0]
    rho = np.repeat(truth.params[:8], 3, axis=0)
    reference = GrowthTrajectories(rho, truth.lengths, truth.domain, truth.arrival)
    rolled = np.random.default_rng(0).permutation(24)
    rollouts = GrowthTrajectories(rho, truth.lengths[rolled], truth.domain, truth.arrival[rolled])
    metric = build("metric", registry.spec("metric", name), {})
    evidence = Evidence(rollouts, 1, Cost(1.0, 1, 1.0, 1, "cpu"))
    score = metric.score(evidence, reference, np.random.default_rng(0))
    found = unit_scores(score.items, metric.items_by, score.value, lambda: case_groups(reference))
    assert len(found.values) <= 16 if found.unit == "bins" else len(found.values) == 8
