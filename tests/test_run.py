"""Runs of a toy suite: nothing is done twice, nothing is lost, one trial's end is no other's."""

from __future__ import annotations

import json
import time

import pytest

import toy
from nsbench.components.events import Notice, RunStarted, StageFinished, TrialFinished
from nsbench.components.simulator import Diverged
from nsbench.outcomes import file as results
from nsbench.report.tables import plain, results_tables
from nsbench.running.run import prepare_all
from nsbench.stages.fit import Journal
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session


def scores(outcome, trial):
    row = next(row for row in outcome.rows if row.trial == trial)
    return {score.metric: score for score in row.scores}


def test_a_run_scores_every_trial_between_its_anchors(bench):
    outcome, _, events = bench()
    assert outcome.exit_code == 0
    truth, learner = scores(outcome, "line/truth/r0"), scores(outcome, "line/learner/r0")
    assert truth["length"].floor == learner["length"].floor
    assert None not in (learner["length"].best_deterministic, learner["length"].analogue)
    assert learner["length"].noise_free > 1
    assert truth["elbo"].value > learner["elbo"].value
    assert truth["elbo"].label == "exact"
    assert learner["wall_clock"].extras["ratio"] > 0
    assert learner["wall_clock"].floor is None
    assert len(events[0].pending) == 13


def test_headings_of_two_lines_are_one_in_plain_tables(bench):
    outcome, _, _ = bench()
    headings = plain(results_tables(outcome.rows)[0]).splitlines()[0]
    assert headings.startswith("| simulator | length ↓, sites | floor |")
    assert "| elbo ↑, nats/transition | 95 % interval | floor |" in headings


def test_run_again_makes_nothing_and_says_the_same(bench):
    first, made, _ = bench()
    assert made
    rows = bench.workspace.results("line").read_text()
    second, made, _ = bench()
    assert made == []
    assert [r.scores for r in second.rows] == [r.scores for r in first.rows]
    assert bench.workspace.results("line").read_text() == rows  # nothing new, nothing appended


def test_a_new_metric_reuses_every_rollout_and_a_new_simulator_the_data(bench):
    from conftest import SUITE

    bench(SUITE.replace("[length, elbo, wall_clock]", "[length]").replace("  - {use: learner}\n", ""))
    _, made, _ = bench(
        SUITE.replace("[length, elbo, wall_clock]", "[length, elbo]").replace("  - {use: learner}\n", "")
    )
    assert made == ["elbo of truth", "elbo of coin"]  # "coin" is the noise-free anchor
    _, made, _ = bench(SUITE.replace("[length, elbo, wall_clock]", "[length]"))
    assert made == ["fit of learner", "rollouts of learner", "length of learner"]


def test_a_failing_trial_is_a_row_with_its_error_and_harms_no_other(bench):
    from conftest import SUITE

    outcome, _, _ = bench(
        SUITE.replace("  - {use: learner}\n", "  - {use: failing}\n  - {use: amnesiac}\n  - {use: learner}\n")
    )
    status = {row.simulator: row.status for row in outcome.rows}
    assert status == {"truth": "ok", "failing": "failed", "amnesiac": "failed", "learner": "ok"}
    errors = {row.simulator: row.error for row in outcome.rows}
    assert "RuntimeError: the loss is on fire" in errors["failing"]
    assert "in order, with their parameters" in errors["amnesiac"]
    assert outcome.exit_code == 1
    log = bench.workspace.log("line", "line/failing/r0").read_text()
    assert "Traceback" in log
    assert "on fire" in log


def test_a_fit_that_diverges_is_said_to_have_diverged(bench, monkeypatch):
    def fit(self, train, val, ctx):
        raise Diverged("the loss became nan after 64 transitions; the last checkpoint is kept")

    monkeypatch.setattr(toy.Learner, "fit", fit)
    outcome, _, _ = bench()
    row = next(row for row in outcome.rows if row.trial == "line/learner/r0")
    assert outcome.exit_code == 1
    assert (row.status, "nan after 64 transitions" in row.error) == ("diverged", True)


def test_a_failed_trial_is_tried_again(bench, monkeypatch):
    from conftest import SUITE

    text = SUITE.replace("use: learner", "use: failing")
    assert bench(text)[0].exit_code == 1
    monkeypatch.setattr(toy.Failing, "fit", lambda self, train, val, ctx: None)
    assert bench(text)[0].exit_code == 0
    assert [row.status for row in results.load(bench.workspace.results("line"))] == ["ok", "ok"]


def test_an_interrupted_run_keeps_what_it_finished_and_goes_on(bench):
    def interrupt(event):
        if isinstance(event, StageFinished) and event.what == "fit of learner" and not event.hit:
            raise KeyboardInterrupt

    outcome, _, _ = bench(listen=interrupt)
    assert outcome.exit_code == 130
    assert [row.status for row in outcome.rows] == ["ok", "interrupted"]
    fits = toy.Learner.fits
    outcome, made, _ = bench()
    assert outcome.exit_code == 0
    assert toy.Learner.fits == fits
    assert made == ["rollouts of learner", "length of learner", "elbo of learner", "wall_clock of learner"]


def test_a_damaged_artifact_is_named_and_made_again(bench):
    first, _, _ = bench()
    folder = next(path.parent for path in (bench.workspace.store / "evidence").glob("*/cost.json"))
    for score in (bench.workspace.store / "score").glob("*"):
        (score / "score.json").unlink()
    (folder / "cost.json").write_text("{}")
    second, made, events = bench()
    notices = [e.message for e in events if isinstance(e, Notice)]
    assert any("cost.json has changed since it was written" in message for message in notices)
    assert sum("rollouts" in what for what in made) == 1
    value = {row.trial: row.scores[0].value for row in first.rows}
    assert {row.trial: row.scores[0].value for row in second.rows} == value


def test_curves_of_a_fit_are_kept_with_its_model(bench):
    bench()
    curves = [json.loads(p.read_text()) for p in (bench.workspace.store / "model").glob("*/curves.json")]
    points = [point for curve in curves for point in curve]
    assert [(name, step) for name, _, step in points] == [("train/heads", 100)]  # the budget, not the data


def test_the_resolved_suite_lies_beside_its_results(bench, registry):
    bench()
    path = bench.workspace.run("line") / "suite.yaml"
    assert read_suite(path, registry).simulators[0].name == "truth"


def test_events_come_in_order(bench):
    _, _, events = bench()
    assert isinstance(events[0], RunStarted)
    assert [e.result.trial for e in events if isinstance(e, TrialFinished)] == list(events[0].trials)


def test_rows_survive_json(bench):
    outcome, _, _ = bench()
    for row in outcome.rows:
        assert results.TrialResult.from_json(row.to_json()) == row


def test_a_line_that_is_no_result_is_named(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"trial": 1}\n')
    with pytest.raises(results.UnreadableResults, match=r"r\.jsonl:1: not a result"):
        results.load(tmp_path / "r.jsonl")


def test_a_row_that_was_cut_short_costs_that_row_only(bench):
    bench()
    path = bench.workspace.results("line")
    first, second = path.read_text().splitlines()
    path.write_text(first + "\n" + second[: len(second) // 2])
    assert [row.simulator for row in results.load(path)] == ["truth"]
    bench()
    assert [row.simulator for row in results.load(path)] == ["truth", "learner"]


def test_a_fit_in_two_sittings_keeps_the_curves_and_seconds_of_both(tmp_path):
    told = []
    for sitting, step in ((1, 10), (2, 20)):
        with Journal(tmp_path, told.append) as journal:
            journal.log("train/loss", 1 / step, step)
            journal.log("train/loss", float("nan"), step + 1)
            time.sleep(0.05)
        assert journal.seconds >= 0.05 * sitting
    assert journal.curves() == [("train/loss", 0.1, 10), ("train/loss", 0.05, 20)] == told


def test_data_that_was_interrupted_goes_on_and_ends_with_the_same_bits(tmp_path, write_suite, registry, monkeypatch):
    """Six parts of crystals: stopped in the fourth, then made again from there."""
    from nsbench_lca.dataset import LCADataset

    text = "name: parts\ndatasets: [{use: lca, params: {size: 8, train: 17, val: 1, test: {parameters: 1, repeats: 1}, stop_margin: 3}}]\n"
    path = write_suite(text + "simulators: [{use: lca}]\nmetrics: [ewd]\nbudget: {transitions: 1}\n")
    plan = make_plan(read_suite(path, registry), registry)
    monkeypatch.setattr(LCADataset, "_part_size", lambda self: 3)
    part, made = LCADataset.part, []

    def watched(self, split, rng, k):
        if split == "train":
            if k == 3 and made == [0, 1, 2]:
                made.append("stopped")
                raise KeyboardInterrupt
            made.append(k)
        return part(self, split, rng, k)

    monkeypatch.setattr(LCADataset, "part", watched)
    with pytest.raises(KeyboardInterrupt):
        prepare_all(Session(plan, registry, Workspace(tmp_path / "a")), [])
    part_1 = next((tmp_path / "a" / "work").glob("*/part-00001.h5"))
    content = bytearray(part_1.read_bytes())
    content[len(content) // 2] ^= 1
    part_1.write_bytes(content)
    notices = []
    prepare_all(Session(plan, registry, Workspace(tmp_path / "a")), [notices.append])
    assert made == [0, 1, 2, "stopped", 1, 3, 4, 5], "only what is missing or damaged"
    assert any("part-00001.h5 has changed since it was written" in str(notice) for notice in notices)
    prepare_all(Session(plan, registry, Workspace(tmp_path / "b")), [])
    stores = [
        {p.parent.name: p.read_bytes() for p in (tmp_path / side / "store").rglob("trajectories.h5")} for side in "ab"
    ]
    assert len(stores[0]) == 3
    assert stores[0] == stores[1]
    assert not list((tmp_path / "a" / "work").iterdir())
