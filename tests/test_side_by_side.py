"""How many trials run side by side follows from the machine and the suite, never from what is in the store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from conftest import SUITE
from nsbench.commands import run as command_run
from nsbench.commands.fresh import _on_as_many_threads
from nsbench.commands.main import main
from nsbench.running import side_by_side as module
from nsbench.running.side_by_side import SideBySide, fits, room, side_by_side, unfinished
from nsbench.store.cgroups import folders
from nsbench.store.memory import usable_memory
from nsbench.store.store import Store
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

GB = 1_000_000_000
THREE = SUITE.replace("  - {use: learner}\n", "  - {use: either}\n  - {use: learner, grid: {rho: [0.3, 0.4]}}\n")


@pytest.fixture
def machine(monkeypatch):
    """A machine of so many cores and so much memory, with nothing in OMP_NUM_THREADS."""

    def go(cores, memory=1000 * GB):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(module, "cores", lambda: cores)
        monkeypatch.setattr(module, "usable_memory", lambda: memory)

    return go


@pytest.fixture
def planned(write_suite, registry):
    """The plan of three fits, of which one is decoded in two ways, beside the truth."""
    return lambda *overrides: make_plan(read_suite(write_suite(THREE), registry, overrides), registry)


def test_a_fit_that_is_decoded_in_two_ways_counts_once_and_the_truth_is_no_fit(planned):
    plan = planned()
    assert len(plan.trials) == 5
    assert fits(plan) == 3
    assert fits(planned("replicates=2")) == 6


@pytest.mark.parametrize(
    ("cores", "memory", "overrides", "expected"),
    [
        (1, 1000 * GB, (), SideBySide(1, 1, "cores")),
        (2, 1000 * GB, (), SideBySide(2, 1, "cores")),
        (16, 1000 * GB, (), SideBySide(3, 5, "fits")),
        (16, 7 * GB, (), SideBySide(2, 8, "memory")),
        (16, 1 * GB, (), SideBySide(1, 16, "memory")),
        (16, 64 * GB, ("limits.memory=20GB",), SideBySide(3, 5, "fits")),
        (16, 50 * GB, ("limits.memory=20GB",), SideBySide(2, 8, "memory")),
        (16, 1000 * GB, ("compute.threads=8",), SideBySide(2, 8, "cores")),
        (2, 1000 * GB, ("compute.threads=4",), SideBySide(1, 4, "cores")),
    ],
)
def test_cores_memory_and_fits_limit_what_runs_at_once(machine, planned, cores, memory, overrides, expected):
    machine(cores, memory)
    assert side_by_side(planned(*overrides)) == expected


def test_threads_that_the_user_names_are_not_more_than_there_are_cores_for(machine, planned, monkeypatch):
    machine(8)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert side_by_side(planned()) == SideBySide(2, 4, "cores")


def test_a_gpu_has_one_trial_at_a_time(machine, planned):
    machine(16)
    plan = planned()
    plan = replace(plan, conditions=replace(plan.conditions, device="cuda"))
    assert side_by_side(plan) == SideBySide(1, 16, "GPU")


def test_a_machine_has_room_for_one_trial_at_least(machine):
    machine(4, 1)
    assert room() == (1, "memory")


def test_what_is_cached_changes_the_workers_and_not_the_threads(machine, planned, bench, registry, monkeypatch):
    """Trials that are made alone, after others, or by name get the threads that all of them have together."""
    machine(16)
    made = []
    monkeypatch.setattr(command_run, "Local", lambda context, jobs, threads=0: made.append((jobs, threads)))
    session = Session(planned(), registry, bench.workspace)
    go = lambda part, jobs=None: command_run.local(session, part, jobs, None)  # noqa: E731
    go(session)
    go(session.only([session.plan.trials[-1].id]))
    bench(THREE)
    assert unfinished(session.plan, Store(bench.workspace.store)) == 0
    go(session)
    assert made == [(3, 5), (1, 5), (1, 5)]
    go(session, 4)
    assert made[-1] == (4, 0)


def test_a_trial_is_made_again_on_as_many_threads_as_it_had(bench, planned, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    bench(THREE)
    plan, store = planned(), Store(bench.workspace.store)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert _on_as_many_threads(plan.suite, plan.trials[-1], store).compute.threads == 3


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "1.5", ""])
def test_jobs_are_auto_or_a_number(tmp_path, write_suite, jobs):
    done = CliRunner().invoke(main, ["run", str(write_suite()), "--jobs", jobs, "--workspace", str(tmp_path)])
    assert done.exit_code == 2
    assert "must be auto, or a number from 1 on" in done.output


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "2000000000\n"}, 2 * GB),
        ({"memory.max": "max\n"}, 8 * GB),
        ({"memory.max": "9000000000"}, 8 * GB),
        ({"memory.max": "-1"}, 8 * GB),
        ({"memory.max": "two"}, 8 * GB),
        ({}, 8 * GB),
    ],
)
def test_a_containers_limit_of_memory_counts(tmp_path, files, expected):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/a\n")
    (tmp_path / "proc/self/mountinfo").write_text("31 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    group = tmp_path / "sys/fs/cgroup/a"
    group.mkdir(parents=True)
    for name, text in files.items():
        (group / name).write_text(text)
    assert group in list(folders("memory", tmp_path))
    assert usable_memory(tmp_path, 8 * GB) == expected
