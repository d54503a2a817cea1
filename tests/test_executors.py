"""Trials in processes of their own: whatever becomes of one, the others are what they would have been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points

import psutil
import pytest

from conftest import SUITE, TOY
from nsbench.commands import run as command_run
from nsbench.components.events import Notice, StageFinished, StagePostponed, StageStarted
from nsbench.errors import Refusal
from nsbench.outcomes.file import load
from nsbench.registry.registry import Registry
from nsbench.running import local
from nsbench.running.local import Local, cause, surroundings
from nsbench.running.run import run
from nsbench.running.workers import guard as watch
from nsbench.running.workers.job import CostWork, Job, ScoreWork
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.suite.suite import Limits

TROUBLE = EntryPoint("trouble", "trouble", "nsbench")


@pytest.fixture(scope="session")
def troubled():
    return Registry([*entry_points(group="nsbench"), TOY, TROUBLE])


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def pids(notes):
    """The processes in which a simulator was fitted in that way, in order."""
    return lambda how: [int(p.name.rpartition("-")[2]) for p in sorted(notes.glob(f"{how}-*"), key=os.path.getmtime)]


@pytest.fixture
def isolated(tmp_path, write_suite, troubled, notes):
    """Runs a suite of troubles, {name: how}, in worker processes: (outcome, events)."""
    workspace = Workspace(tmp_path / "work space")

    def plan_of(simulators, *overrides):
        listed = [
            f"  - {{use: trouble, as: {name}, params: {{how: {how}, notes: {notes}, label: {name}}}}}"
            for name, how in simulators.items()
        ]
        text = SUITE.replace("metrics: [length, elbo, wall_clock]", "metrics: [length, elbo]")
        text = text.replace("  - {use: coin, as: truth}\n  - {use: learner}", "\n".join(listed))
        return make_plan(read_suite(write_suite(text), troubled, overrides), troubled)

    def go(simulators, *overrides, jobs=1, listen=None):
        events = []
        listeners = [events.append, *([listen] if listen else [])]
        plan = plan_of(simulators, *overrides)
        return run(Session(plan, troubled, workspace), listeners, executor=partial(Local, parallel=jobs)), events

    go.workspace, go.plan = workspace, plan_of
    return go


def gone(pid):
    """Whether a process has ended (a zombie that nobody waits for has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(true, seconds=60):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)


def test_every_bad_end_has_its_name_and_harms_no_other_trial(isolated, pids):
    ends = {
        "before": ("fine", "ok", ""),
        "exits": ("exit", "failed", "exit status 3"),
        "crashes": ("segfault", "killed", "SIGSEGV"),
        "shot": ("sigkill", "killed", "SIGKILL, which nsbench did not send"),
        "eats": ("allocate", "oom", "more than the limit of 300MB"),
        "refused": ("memory error", "oom", "a huge array"),
        "elsewhere": ("nowhere", "skipped", "a quantum computer"),
        "after": ("fine", "ok", ""),
    }
    outcome, _ = isolated({name: how for name, (how, _, _) in ends.items()}, "limits.memory=300MB")
    assert {row.simulator: row.status for row in outcome.rows} == {name: end[1] for name, end in ends.items()}
    for row in outcome.rows:
        assert ends[row.simulator][2] in row.error
        assert row.peak_bytes is None or row.peak_bytes > 10e6
    assert outcome.exit_code == 1
    rows = {row.simulator: row for row in outcome.rows}
    assert [s.value for s in rows["before"].scores] == [s.value for s in rows["after"].scores]
    assert rows["before"].scores[0].floor is not None
    assert rows["eats"].peak_bytes > 300e6
    log = isolated.workspace.log("line", "line/crashes/r0").read_text()
    assert "Segmentation fault" in log
    assert 'trouble.py", line' in log
    assert len({*pids("exit"), *pids("segfault"), *pids("sigkill"), *pids("allocate")}) == 4


@pytest.mark.slow
def test_a_hard_timeout_stops_native_code_and_children_too(isolated, notes, monkeypatch):
    monkeypatch.setattr(watch, "GRACE_SECONDS", 0.3)
    before = time.monotonic()
    outcome, _ = isolated({"hangs": "native", "spawns": "child", "fine": "fine"}, "limits.timeout=4s")
    assert [row.status for row in outcome.rows] == ["timeout", "timeout", "ok"]
    assert "more than the limit of 4 s" in outcome.rows[0].error
    assert time.monotonic() - before < 100  # they would sleep for 1,000 s
    assert gone(int((notes / "child").read_text()))


def test_a_worker_is_used_again_until_a_trial_ends_badly(isolated, pids, monkeypatch):
    monkeypatch.setattr(watch, "GRACE_SECONDS", 0.3)
    isolated({"a": "fine", "b": "print", "c": "memory error", "d": "python"}, "limits.timeout=4s")
    assert pids("fine") == pids("print") == pids("memory error")
    assert pids("python") != pids("fine")


def test_what_a_trial_prints_is_in_its_log_in_c_too(isolated):
    isolated({"talks": "print", "quiet": "fine"})
    text = isolated.workspace.log("line", "line/talks/r0").read_text()
    assert text.startswith("from Python\nfrom C\n")
    assert text.splitlines()[-1].endswith(" MB at most.")
    assert "from" not in isolated.workspace.log("line", "line/quiet/r0").read_text()


def test_a_trial_with_bad_luck_is_begun_again(isolated):
    outcome, events = isolated({"unlucky": "once"}, "limits.retries=1")
    assert [row.status for row in outcome.rows] == ["ok"]
    assert next(e.message for e in events if isinstance(e, Notice)).endswith("begun again")


def test_without_its_data_a_trial_is_skipped_and_says_why(tmp_path, write_suite, troubled):
    text = SUITE.replace("datasets:", "datasets:\n  - {use: broken}")
    outcome = run(
        Session(make_plan(read_suite(write_suite(text), troubled), troubled), troubled, Workspace(tmp_path / "w"))
    )
    status = {row.trial: row.status for row in outcome.rows}
    assert status == {
        f"{d}/{s}/r0": end for d, end in (("broken", "skipped"), ("line", "ok")) for s in ("truth", "learner")
    }
    assert outcome.rows[0].error.startswith("broken/train-data: failed: OSError: the instrument is off")


def test_a_simulator_whose_library_is_missing_is_skipped(tmp_path, write_suite, troubled, notes):
    text = SUITE.replace("use: learner", f"use: extra, params: {{notes: {notes}}}")
    outcome = run(
        Session(make_plan(read_suite(write_suite(text), troubled), troubled), troubled, Workspace(tmp_path / "w"))
    )
    assert [row.status for row in outcome.rows] == ["ok", "skipped"]
    assert "No module named 'a_library_that_nobody_has'" in outcome.rows[1].error


def test_a_fully_cached_run_starts_no_process(isolated, monkeypatch):
    isolated({"a": "fine"})
    monkeypatch.setattr(local, "WorkerProcess", None)
    outcome, _ = isolated({"a": "fine"})
    assert outcome.exit_code == 0


def test_code_that_has_changed_since_the_plan_makes_nothing_under_the_old_key(isolated, troubled):
    """The plan is made with another digest than that of the code which the worker will import."""
    plan = isolated.plan({"a": "fine"})
    trial = replace(plan.trials[0], part=replace(plan.trials[0].part, source="0" * 32))
    outcome = run(Session(replace(plan, trials=(trial,)), troubled, isolated.workspace), executor=Local)
    assert outcome.rows[0].status == "failed"
    assert "has changed since this run was planned" in outcome.rows[0].error


def test_jobs_run_at_once_and_change_no_key(isolated):
    """Each of the two waits for the other: one after the other would never end."""
    trials = {"a": "meet", "b": "meet"}
    outcome, events = isolated(trials, jobs=2)
    assert [row.status for row in outcome.rows] == ["ok", "ok"]
    made = [e.key for e in events if isinstance(e, StageFinished) and not e.hit]
    assert len(made) == len(set(made)) == 31
    again, events = isolated(trials, jobs=1)
    assert [e for e in events if isinstance(e, StageFinished) and not e.hit] == []
    assert [row.keys for row in again.rows] == [row.keys for row in outcome.rows]


def test_costs_are_measured_while_nothing_else_of_the_run_works(isolated):
    """What runs side by side leaves its costs; each is then measured with no other stage begun and not ended."""
    outcome, events = isolated({"a": "meet", "b": "meet", "c": "fine"}, jobs=2)
    assert [row.status for row in outcome.rows] == ["ok"] * 3
    postponed = {event.key for event in events if isinstance(event, StagePostponed)}
    assert postponed >= {row.keys["evidence"] for row in outcome.rows}
    underway, alone = set(), []
    for event in events:
        if isinstance(event, StageStarted):
            underway.add(event.key)
        elif isinstance(event, StagePostponed) or (isinstance(event, StageFinished) and not event.hit):
            if isinstance(event, StageFinished) and event.key in postponed:
                assert underway == {event.key}
                alone.append(event.key)
            underway.remove(event.key)
    assert sorted(alone) == sorted(postponed)
    costs = [json.loads(path.read_text()) for path in (isolated.workspace.store / "evidence").glob("*/cost.json")]
    assert {cost["parallel"] for cost in costs} == {1}
    assert len(costs) == len(postponed)
    assert not list(isolated.workspace.work.iterdir())


def test_one_job_at_a_time_postpones_nothing(isolated):
    outcome, events = isolated({"a": "fine"})
    assert outcome.exit_code == 0
    assert not any(isinstance(event, StagePostponed) for event in events)


def test_a_limit_of_time_counts_the_earlier_parts_of_a_trial():
    signals = []
    guard = watch.Guard(Limits(timeout=10.0), signals.append, NoMemory(), NoOutput(), begun=100.0, spent=8.0)
    guard.check(101.9)
    assert signals == []
    guard.check(102.1)
    assert guard.verdict == "timeout"


class NoMemory:
    def read(self):
        return 0


class NoOutput:
    def trim(self):
        pass


def test_ray_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(command_run, "find_spec", lambda name: None)
    with pytest.raises(Refusal, match=r"pip install 'nsbench\[ray\]'"):
        command_run.choose_executor("ray", Local, None)


def test_threads_are_divided_and_gpus_given_out_in_turn(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name in ("cores", "cores_seen"):
        monkeypatch.setattr(local, name, lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    shares = [surroundings(index, 3, 2) for index in range(3)]
    assert [s["OMP_NUM_THREADS"] for s in shares] == ["2"] * 3
    assert [s["CUDA_VISIBLE_DEVICES"] for s in shares] == ["3", "5", "3"]
    assert surroundings(0, 1, 8) == os.environ | {"GOMP_SPINCOUNT": local.SPINS}


def test_threads_that_wait_leave_their_core_unless_the_user_says_otherwise(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    assert surroundings(0, 1, 2)["GOMP_SPINCOUNT"] == local.SPINS
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert surroundings(0, 1, 2)["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "GOMP_SPINCOUNT" not in surroundings(0, 1, 2)


def test_the_kernels_kill_for_want_of_memory_is_told_from_another(monkeypatch):
    monkeypatch.setattr(local, "kernel_kills", lambda: 5)
    assert cause(-signal.SIGKILL, 4)[0] == "oom"
    assert cause(-signal.SIGKILL, 5)[0] == "killed"
    assert cause(-signal.SIGTERM, 4)[0] == "killed"


def test_a_job_survives_json(isolated):
    trial = isolated.plan({"a": "fine"}).trials[0]
    plan = isolated.plan({"a": "fine"})
    for work in (ScoreWork(trial, trial.scores), CostWork(trial)):
        job = Job(trial.id, plan.suite, plan.conditions, work, spent=1.5)
        again = Job.from_json(job.to_json())
        assert again == job
        assert type(again.work) is type(work)
        assert again.work.of.evidence.digest == trial.evidence.digest


RUN = """
import sys
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from nsbench.components.events import Notice, StageFinished
from nsbench.running.local import Local
from nsbench.suite.planner import make_plan
from nsbench.registry.registry import Registry
from nsbench.running.run import run
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.store.workspace import Workspace

registry = Registry([*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "trouble"))])
plan = make_plan(read_suite(Path(sys.argv[1]), registry), registry)

def tell(event):
    if isinstance(event, StageFinished) and not event.hit:
        print("made", event.key, flush=True)
    if isinstance(event, Notice):
        print(event.message, flush=True)

sys.exit(run(Session(plan, registry, Workspace(Path(sys.argv[2]))), [tell], executor=Local).exit_code)
"""


@pytest.fixture
def begin(isolated):
    """Begins a run of a suite in a process of its own."""
    started = []

    def go(suite):
        path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", RUN, str(suite), str(isolated.workspace.root)]
        started.append(
            subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield go
    for process in started:
        process.kill()
        process.communicate()


def test_nothing_outlives_a_run_that_is_killed(isolated, begin, notes, tmp_path, pids):
    isolated.plan({"spawns": "child"})
    process = begin(tmp_path / "suite.yaml")
    wait_until((notes / "child").exists)
    wait_until(lambda: (notes / "child").read_text())
    process.kill()
    worker, child = pids("child")[0], int((notes / "child").read_text())
    wait_until(lambda: gone(worker) and gone(child))


def test_two_runs_of_one_suite_share_the_work(isolated, begin, tmp_path):
    isolated.plan({"a": "fine", "b": "print"})
    runs = [begin(tmp_path / "suite.yaml") for _ in range(2)]
    outputs = [process.communicate(timeout=90)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0]
    made = [line for output in outputs for line in output.splitlines() if line.startswith("made ")]
    assert len(made) == len(set(made)) == 31
    assert [row.status for row in load(isolated.workspace.results("line"))] == ["ok", "ok"]
    assert not list((isolated.workspace.store / "locks").iterdir())


def test_a_second_run_takes_what_the_first_is_not_at(isolated, begin, tmp_path):
    """Each of the two trials waits for the other: one run alone would never end, nor would two that queue."""
    isolated.plan({"a": "meet", "b": "meet"})
    runs = [begin(tmp_path / "suite.yaml") for _ in range(2)]
    outputs = [process.communicate(timeout=90)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], outputs


def test_sigterm_brings_a_run_to_an_orderly_end(isolated, begin, tmp_path, pids):
    isolated.plan({"a": "fine", "long": "python"})
    process = begin(tmp_path / "suite.yaml")
    wait_until(lambda: pids("python"))
    process.send_signal(signal.SIGTERM)
    assert any(line.startswith("stopping: ") for line in process.stdout)
    process.send_signal(signal.SIGTERM)  # this fit does not listen
    process.communicate(timeout=60)
    assert process.returncode == 130
    status = {row.simulator: row.status for row in load(isolated.workspace.results("line"))}
    assert status == {"a": "ok", "long": "interrupted"}
    wait_until(lambda: gone(pids("python")[0]))
