"""Several runs of one plan, begun together, share the work: none takes what another is about to make."""

from __future__ import annotations

import pytest

from conftest import SUITE
from nsbench.running.run import prepare_all
from nsbench.running.schedule import Schedule
from nsbench.running.workers.job import JobEnd
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
