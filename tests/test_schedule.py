"""Several runs of one plan, begun together, share the work: none takes what another is about to make."""

from __future__ import annotations

import pytest

from conftest import SUITE
from nsbench.running.run import prepare_all
from nsbench.running.schedule import Schedule
from nsbench.running.workers.job import CostWork, JobEnd, ScoreWork
from nsbench.stages.workshop import workshop_of
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

TWINS = SUITE.replace("  - {use: learner}\n", "  - {use: learner}\n  - {use: learner, as: twin}\n")


@pytest.fixture
def board(tmp_path, write_suite, registry):
    """A run's board, in the one workspace of all of them; the data is there already."""
    plan = make_plan(read_suite(write_suite(TWINS), registry), registry)
    workspace = Workspace(tmp_path / "work space")
    prepare_all(Session(plan, registry, workspace), [])

    def go():
        return Schedule(plan, (), workshop_of(Session(plan, registry, workspace), lambda event: None))

    go.workspace = workspace
    return go


def test_runs_begun_together_take_different_jobs(board):
    """Neither job has been begun: no lock is held but the claims."""
    one, other = board(), board()
    assert [one.take().name, other.take().name] == ["line/truth/r0", "line/learner/r0"]


def test_what_shares_a_fit_is_taken_last(board):
    """`twin` is the learner by another name: to take it is to wait for the learner's fit."""
    one, other = board(), board()
    assert one.take().name == "line/truth/r0"
    assert one.take().name == "line/learner/r0"
    assert other.take().name == "line/truth/r0"  # nothing is free: the first of all
    assert one.take().name == "line/twin/r0"


@pytest.mark.parametrize("end", ["ended", "cut short"])
def test_a_claim_goes_with_the_job(board, end):
    one, other = board(), board()
    job = one.take()
    if end == "ended":
        one.end(job, JobEnd(job.name, "failed", "bad luck"))
    else:
        assert [row.status for row in one.cut_short([job.name])] == ["interrupted"]
    assert other.take().name == job.name


def test_a_claim_that_cannot_be_written_stops_nothing(board):
    """A full disk, say: the job is begun, and says itself what it lacks."""
    locks = board.workspace.store / "locks"
    locks.rmdir()
    locks.touch()
    one = board()
    assert [one.take().name, one.take().name] == ["line/truth/r0", "line/learner/r0"]


def test_no_claim_outlives_a_run(bench):
    outcome, _, _ = bench(TWINS)
    assert outcome.exit_code == 0
    assert not list((bench.workspace.store / "locks").iterdir())


def postponed(job, seconds=2.0, peak=10):
    return JobEnd(job.name, "ok", seconds=seconds, peak_bytes=peak, postponed=True)


def ok(job, **facts):
    return JobEnd(job.name, "ok", **facts)


def test_costs_are_measured_one_by_one_when_nothing_else_works_and_only_then_is_scored(board):
    one = board()
    first, second = one.take(), one.take()
    one.end(first, postponed(first))
    third = one.take()  # the work goes on
    one.end(second, postponed(second))
    assert one.take() is None  # while the third is at work
    one.end(third, postponed(third))
    measured = []
    for _ in range(3):
        assert one.take() is None  # no scores are made as long as costs wait
        job = one.take(idle=True)
        assert isinstance(job.work, CostWork)
        assert job.spent == 2.0
        measured.append(job.name)
        one.end(job, ok(job))
    assert measured == [first.name, second.name, third.name]
    scored = [one.take() for _ in range(3)]
    assert [job.name for job in scored] == measured
    assert [type(job.work) for job in scored] == [ScoreWork] * 3
    assert one.take(idle=True) is None


def test_a_row_has_the_time_and_memory_of_all_parts(board, monkeypatch):
    one = board()
    monkeypatch.setattr(one, "_stored_scores", lambda candidate: [])
    job = one.take()
    one.end(job, postponed(job, 5.0, 300))
    for _ in range(2):
        other = one.take(idle=True)  # other jobs come before costs
        one.end(other, JobEnd(other.name, "failed", "bad luck"))
    costs = one.take(idle=True)
    one.end(costs, ok(costs, seconds=1.0, peak_bytes=200, changed=("warnings",)))
    last = one.take()
    assert last.spent == 6.0
    one.end(last, ok(last, seconds=4.0, peak_bytes=100))
    row = next(row for row in one.rows() if row.trial == job.name)
    assert (row.seconds, row.peak_bytes, row.changed) == (10.0, 300, ("warnings",))


def test_costs_that_fail_end_their_trial_and_no_other(board):
    one = board()
    jobs = [one.take() for _ in range(3)]
    for job in jobs:
        one.end(job, postponed(job))
    fine = one.take(idle=True)
    one.end(fine, ok(fine))
    while (costs := one.take(idle=True)).name != fine.name:
        one.end(costs, JobEnd(costs.name, "failed", "bad luck"))
    assert isinstance(costs.work, ScoreWork)
    rows = {row.trial: row.status for row in one.rows()}
    assert list(rows.values()) == ["failed", "failed"]


def test_a_trial_whose_costs_wait_when_a_run_is_stopped_is_interrupted(board):
    one = board()
    job = one.take()
    one.end(job, postponed(job))
    assert [row.trial for row in one.cut_short([])] == [job.name]
