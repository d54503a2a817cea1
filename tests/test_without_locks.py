"""File systems whose locks do nothing, or are not there: runs complete, one or two at a time, and say so once."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import traceback

import pytest
from rich.console import Console

from nsbench.commands.run import run_suite
from nsbench.outcomes.file import load
from nsbench.stages.workshop import workshop_of
from nsbench.store import inventory
from nsbench.store.key import Key
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session


def no_locks(descriptor, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def locks_of_one_node(descriptor, operation):
    """Everybody gets every lock, as two machines do where locks hold on one machine only."""


@pytest.fixture
def session(write_suite, registry, tmp_path):
    plan = make_plan(read_suite(write_suite(), registry), registry)
    return lambda name: Session(plan, registry, Workspace(tmp_path / name))


def table(session):
    keys = {"trial", "status", "keys"}
    rows = [{k: v for k, v in row.outcome().items() if k in keys} for row in load(session.results)]
    return sorted(rows, key=lambda row: row["trial"])


def ran(session, tracked=False):
    console = Console(file=io.StringIO(), width=200)
    return run_suite(session, console, tracked=tracked), console.file.getvalue()


@pytest.fixture
def expected(session):
    whole = session("whole")
    assert ran(whole)[0] == 0
    return table(whole)


def test_a_whole_run_without_locks_prints_the_same_table_and_says_so_once(session, expected, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    alone = session("alone")
    code, output = ran(alone)
    assert code == 0
    assert table(alone) == expected
    assert output.count("this file system has no locks") == 1
    assert ran(alone)[0] == 0


def test_a_run_without_locks_is_mirrored_all_the_same(session, expected, monkeypatch, empty_database):
    alone = session("alone")
    alone.workspace.root.mkdir()
    shutil.copy(empty_database, alone.workspace.root / "mlflow.db")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    code, output = ran(alone, tracked=True)
    assert code == 0
    assert "compare in MLflow" in output
    assert table(alone) == expected


def test_unfinished_work_goes_when_nobody_writes_its_artifact_any_more(session):
    workshop = workshop_of(session("alone"))
    key = Key("evidence", {"of": "a test"})
    part = workshop.work / key.digest / "rollouts-000000.h5"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"finished by another process")
    with workshop.store.writing(key):
        workshop.clear_work(key)
        assert part.exists()
    workshop.clear_work(key)
    assert not part.parent.exists()


@pytest.mark.parametrize("flock", [no_locks, locks_of_one_node])
def test_two_runs_at_once_make_one_table_where_no_lock_holds_between_them(session, expected, monkeypatch, flock):
    monkeypatch.setattr(fcntl, "flock", flock)
    both = session("both")
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            try:
                code, output = ran(both)
                print(output)
            except BaseException:
                traceback.print_exc()
                code = 99
            os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert table(both) == expected
    entries = inventory.artifacts(both.workspace)
    assert entries
    assert not [entry for entry in entries if inventory.damage(entry)]
    assert inventory.leftovers(both.workspace) == []
