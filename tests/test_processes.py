"""Everything that a trial starts ends with it, limits hold whatever fails, and no log fills the disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import EntryPoint, entry_points

import pytest

from conftest import SUITE, TOY
from nsbench.components.events import Notice
from nsbench.registry.registry import Registry
from nsbench.running import local
from nsbench.running.local import Local, NoWorkers
from nsbench.running.run import run
from nsbench.running.workers import guard as guards
from nsbench.running.workers import output as outputs
from nsbench.running.workers.guard import Guard, Watch, WatchEnded
from nsbench.running.workers.output import Output
from nsbench.running.workers.process import WorkerProcess
from nsbench.stages.workshop import workshop_of
from nsbench.store.locks import held
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.suite.suite import Limits
from test_executors import gone, wait_until

pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.fixture(scope="module")
def escaping():
    return Registry([*entry_points(group="nsbench"), TOY, EntryPoint("escapee", "escapee", "nsbench")])


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture
def session(tmp_path, write_suite, escaping, notes):
    """The session of a suite of escapees, {name: how}."""

    def session(simulators, *overrides):
        lines = [
            f"  - {{use: escapee, as: {name}, params: {{how: {how}, notes: {notes}, label: {name}}}}}"
            for name, how in simulators.items()
        ]
        text = SUITE.replace("  - {use: coin, as: truth}\n  - {use: learner}", "\n".join(lines))
        text = text.replace("[length, elbo, wall_clock]", "[length]")
        plan = make_plan(read_suite(write_suite(text), escaping, overrides), escaping)
        return Session(plan, escaping, Workspace(tmp_path / "w"))

    return session


@pytest.fixture
def isolated(session):
    """Runs escapees in worker processes: ({name: row}, notices)."""

    def isolated(simulators, *overrides, jobs=1):
        events = []
        outcome = run(session(simulators, *overrides), [events.append], executor=partial(Local, parallel=jobs))
        return {row.simulator: row for row in outcome.rows}, [e.message for e in events if isinstance(e, Notice)]

    return isolated


@pytest.fixture
def pid(notes):
    """The process of which a note was left."""
    return lambda name: int((notes / name).read_text())


def test_what_left_the_group_ends_with_its_trial(isolated, pid, monkeypatch):
    monkeypatch.setattr(guards, "GRACE_SECONDS", 0.3)
    rows, _ = isolated({"late": "hangs", "crashed": "crashes", "well": "leaves", "next": "fine"}, "limits.timeout=5s")
    assert [row.status for row in rows.values()] == ["timeout", "killed", "ok", "ok"]
    assert "SIGSEGV" in rows["crashed"].error
    for name in ("late", "crashed", "well"):
        assert gone(pid(f"{name}-daemon")), name
    assert rows["well"].changed[0].startswith("left running: ")
    assert "python" in rows["well"].changed[0]
    assert rows["next"].changed == ()
    assert pid("well-worker") != pid("next-worker")


def test_a_storm_of_processes_ends_with_its_trial(isolated, notes, pid):
    rows, _ = isolated({"stormy": "storm"})
    assert rows["stormy"].status == "failed"
    assert "exit status 3" in rows["stormy"].error
    last = pid("stormy-storm")
    time.sleep(0.3)
    assert pid("stormy-storm") == last
    assert gone(last)


RUN = """
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from nsbench.registry.registry import Registry
from nsbench.running.local import Local
from nsbench.running.run import run
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

registry = Registry([*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "escapee"))])
plan = make_plan(read_suite(Path(sys.argv[1]), registry), registry)
run(Session(plan, registry, Workspace(Path(sys.argv[2]))), executor=Local)
"""


def test_what_left_the_group_ends_with_a_run_that_is_killed(session, notes, pid, tmp_path):
    session({"hung": "hangs"})
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", RUN, str(tmp_path / "suite.yaml"), str(tmp_path / "w")]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path})
    try:
        wait_until((notes / "hung-daemon").exists)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: gone(pid("hung-daemon")), 20)


def test_a_worker_that_cannot_be_ended_costs_its_slot_and_nothing_else(isolated, notes, monkeypatch):
    """As if its process were in uninterruptible sleep."""
    end, stuck = WorkerProcess.end, []

    def never(worker, patience=0.0):
        status = end(worker, patience)
        if not stuck:
            stuck.append(worker)
            return None
        return status

    monkeypatch.setattr(WorkerProcess, "end", never)
    rows, notices = isolated({"bad": "long error", "a": "fine", "b": "fine"}, jobs=2)
    assert [row.status for row in rows.values()] == ["failed", "ok", "ok"]
    assert [n for n in notices if "cannot be ended; 1 others go on" in n and "line/bad/r0" in n]


def test_a_run_without_a_worker_ends_and_says_why(isolated, monkeypatch):
    end = WorkerProcess.end
    monkeypatch.setattr(WorkerProcess, "end", lambda worker, patience=0.0: end(worker, patience) and None)
    with pytest.raises(NoWorkers, match="no worker could be ended"):
        isolated({"bad": "long error", "a": "fine"})


def test_ending_a_worker_has_a_deadline(tmp_path, monkeypatch):
    """The worker's watcher sleeps through everything: it is stopped, and SIGKILL is held back."""
    from nsbench.running.workers import process as processes
    from nsbench.running.workers.messages import Hello

    monkeypatch.setattr(processes, "ENDING_SECONDS", 0.2)
    monkeypatch.setattr(processes, "_LAST_SECONDS", 0.2)
    worker = WorkerProcess(Hello(sys.path, str(tmp_path), 1), os.environ, tmp_path / "log.txt")
    os.kill(worker.pid, signal.SIGSTOP)
    with monkeypatch.context() as held_back:
        held_back.setattr(os, "killpg", lambda group, number: None)
        before = time.monotonic()
        assert worker.end() is None
        assert time.monotonic() - before < 5
    os.kill(worker.pid, signal.SIGKILL)
    worker._process.wait()


class Memory:
    """Memory that is read as it is told: a number, or an error."""

    def __init__(self, *values):
        self.values = list(values)

    def read(self):
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if isinstance(value, BaseException):
            raise value
        return value


def guard_of(tmp_path, limits, *values):
    signals = []
    return Guard(limits, signals.append, Memory(*values), Output(tmp_path / "log")), signals


ERRORS = [OSError(errno.EMFILE, "Too many open files"), ValueError("a line of /proc is torn"), MemoryError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_time_is_kept_whatever_error_the_memory_raises(tmp_path, error):
    guard, signals = guard_of(tmp_path, Limits(timeout=0.3), error)
    with Watch() as watch:
        watch.add(guard)
        wait_until(lambda: signals, 10)
        assert signals == [signal.SIGTERM]
        assert watch.faults() == [f"{type(error).__name__}: {error}"]
        assert watch.faults() == []


def test_memory_is_kept_again_after_an_error(tmp_path):
    guard, signals = guard_of(tmp_path, Limits(memory=100), ERRORS[0], ERRORS[0], 101)
    other, others_signals = guard_of(tmp_path, Limits(memory=100), 101)
    with Watch() as watch:
        watch.add(guard)
        watch.add(other)
        wait_until(lambda: signals and others_signals, 10)
    assert guard.verdict == other.verdict == "oom"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_ends_when_the_thread_that_keeps_limits_is_dead(tmp_path):
    guard, _ = guard_of(tmp_path, Limits(), SystemExit())
    with Watch() as watch:
        watch.add(guard)
        watch._thread.join(10)
        with pytest.raises(WatchEnded):
            watch.faults()


def test_an_error_of_the_guard_is_told_once_and_the_run_goes_on(isolated, monkeypatch):
    def fail(memory):
        raise ERRORS[0]

    monkeypatch.setattr(local.DescendantsMemory, "read", fail)
    rows, notices = isolated({"a": "leaves", "b": "fine"})
    assert [row.status for row in rows.values()] == ["ok", "ok"]
    assert len([n for n in notices if "Too many open files" in n]) == 1


def test_memory_is_enforced_while_a_job_waits_and_time_is_not(tmp_path):
    guard, signals = guard_of(tmp_path, Limits(timeout=0.001, memory=100), 99, 101)
    guard.wait(True)
    guard.check(time.monotonic() + 10)
    assert signals == []
    guard.check(time.monotonic() + 20)
    assert (signals, guard.verdict) == ([signal.SIGKILL], "oom")


def test_a_stop_request_reaches_a_job_that_waits_for_a_lock(session, monkeypatch):
    """The test holds the lock of the train data for as long as the run goes on."""
    going = session({"a": "fine"})
    lock = workshop_of(going)._lock_path(going.plan.trials[0].fit_data.keys["train"])
    waiting = []

    def wait(guard, begins, wait=Guard.wait):
        wait(guard, begins)
        waiting.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Guard, "wait", wait)
    with held(lock):
        outcome = run(going, executor=Local)
    assert outcome.interrupted
    assert time.monotonic() - waiting[0] < 5


def test_a_log_keeps_the_beginning_of_what_a_job_prints_and_says_what_it_lacks(isolated, session, monkeypatch):
    monkeypatch.setattr(outputs, "MOST_BYTES", 100_000)
    rows, _ = isolated({"loud": "prints"})
    assert rows["loud"].status == "ok"
    log = session({"loud": "prints"}).workspace.log("line", "line/loud/r0").read_text()
    assert len(log) < 110_000
    assert "bytes of output are left out: a log keeps 100,000 of what a job prints" in log
    assert " line/loud/r0: ok after " in log.splitlines()[-1]


def test_a_log_is_short_while_a_job_prints(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "MOST_BYTES", 1000)
    path = tmp_path / "log"
    path.write_text("of an earlier run\n")
    output = Output(path)
    with path.open("a") as job:
        for _ in range(10):
            job.write("x" * 999 + "\n")
            job.flush()
            output.trim()
            assert path.stat().st_size <= 1000 + 18
    output.close()
    assert path.read_text().endswith("\n… 9,000 bytes of output are left out: a log keeps 1,000 of what a job prints\n")


def test_a_long_error_is_cut_in_the_row_and_whole_in_the_log(isolated, session):
    rows, notices = isolated({"wordy": "long error"})
    assert rows["wordy"].error.startswith("ValueError: wrong wrong")
    assert "… (58,012 more characters) (see " in rows["wordy"].error
    assert len(rows["wordy"].error) < 2500
    assert all(len(notice) < 2600 for notice in notices)
    log = session({"wordy": "long error"}).workspace.log("line", "line/wordy/r0").read_text()
    assert "wrong " * 9_999 in log


def test_no_two_trials_share_a_log(tmp_path):
    workspace = Workspace(tmp_path)
    trials = ["a.b/c/r0", "a/b.c/r0", "a.b/c.r0", "a/b/c", "a-b/c/r0"]
    assert len({workspace.log("s", trial) for trial in trials}) == len(trials)
    assert workspace.log("s", "a.b/c/r0").name == "a.b+c+r0.txt"
