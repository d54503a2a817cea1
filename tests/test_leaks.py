"""Trials do not touch each other: what a component changes in its process reaches no other number, and is named."""

from __future__ import annotations

import decimal
import importlib
import os
import subprocess
import sys
from functools import partial
from importlib.metadata import EntryPoint, entry_points

import numpy as np
import pytest

import leaky
from conftest import SUITE, TOY
from nsbench.components.rows import TrialResult
from nsbench.registry.registry import Registry
from nsbench.report.tables import notes as table_notes
from nsbench.running.inline import Inline
from nsbench.running.local import Local
from nsbench.running.run import run
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.testing.check import check
from nsbench.tracking.content import tags_of


@pytest.fixture(scope="module")
def leaking():
    return Registry([*entry_points(group="nsbench"), TOY, EntryPoint("leaky", "leaky", "nsbench")])


@pytest.fixture
def go(tmp_path, write_suite, leaking, quick_disk):
    """Runs simulators, {name: (use, changes)}, in a workspace: {name: row}."""

    def go(simulators, workspace="w", executor=Inline, metrics="[length, touchy]"):
        (tmp_path / "notes").mkdir(exist_ok=True)
        lines = [
            f"  - {{use: {use}, as: {name}, params: {{changes: '{changes}', notes: {tmp_path}/notes, label: {name}}}}}"
            for name, (use, changes) in simulators.items()
        ]
        text = SUITE.replace("  - {use: coin, as: truth}\n  - {use: learner}", "\n".join(lines))
        text = text.replace("[length, elbo, wall_clock]", metrics) + "compute: {threads: 2}\n"
        plan = make_plan(read_suite(write_suite(text), leaking), leaking)
        outcome = run(Session(plan, leaking, Workspace(tmp_path / workspace)), executor=executor)
        return {row.simulator: row for row in outcome.rows}

    go.processes = lambda name: {p.name.rpartition("-")[2] for p in (tmp_path / "notes").glob(f"{name}-*")}
    return go


def values(row):
    return {score.metric: score.value for score in row.scores}


@pytest.mark.parametrize("executor", [Inline, Local])
def test_a_number_is_the_same_after_a_trial_that_changed_the_process(go, executor):
    alone = go({"reader": ("reader", "")}, "alone", executor)["reader"]
    rows = go({"setter": ("setter", "decimal"), "reader": ("reader", "")}, "after", executor)
    assert rows["reader"].keys == alone.keys
    assert values(rows["reader"]) == values(alone)
    assert rows["setter"].changed == ("decimal: prec 28 -> 5",)
    assert rows["reader"].changed == ()
    if executor is Local:
        assert not go.processes("setter") & go.processes("reader")


def test_a_metrics_number_does_not_depend_on_whether_the_simulator_was_fitted_just_now(go):
    """The metric is scored once right after the fit that changed the process, and once on stored rollouts."""
    at_once = go({"setter": ("setter", "decimal")}, metrics="[length, touchy]")["setter"]
    decimal.getcontext().prec = 28  # as in the processes of another run
    go({"setter": ("setter", "decimal")}, "later", metrics="[length]")
    decimal.getcontext().prec = 28
    later = go({"setter": ("setter", "decimal")}, "later", metrics="[length, touchy]")["setter"]
    assert at_once.keys == later.keys
    assert values(at_once) == values(later)


def test_a_worker_that_is_as_it_was_is_used_again_and_another_is_not(go):
    """Inference mode that is never left cannot be put back."""
    plain = {name: ("setter", change) for name, change in {"a": "", "b": "inference", "c": ""}.items()}
    rows = go(plain, executor=partial(Local, parallel=1))
    assert rows["a"].changed == rows["c"].changed == ()
    assert "torch.inference_mode: False -> True" in rows["b"].changed
    assert go.processes("a") == go.processes("b")
    assert not go.processes("b") & go.processes("c")


def test_everything_that_can_be_changed_is_named_and_put_back(go):
    """All in one run, each in a trial of its own."""
    importlib.import_module("numba")  # of a library that a job imports, the threads are set by nsbench
    importlib.import_module("torch")
    folder, umask = os.getcwd(), os.umask(0o022)
    os.umask(0o022)
    changes = {f"s{k}": change for k, change in enumerate(leaky.CHANGES) if change != "inference"}
    try:
        rows = go({name: ("setter", change) for name, change in changes.items()})
        for name, change in changes.items():
            assert rows[name].status == "ok", rows[name].error
            named = [line for line in rows[name].changed if line.startswith(leaky.CHANGES[change][1])]
            assert named, (change, rows[name].changed)
        assert os.getcwd() == folder
        assert "LEAKED" not in os.environ
    finally:
        os.umask(umask)
        os.chdir(folder)


def test_the_row_says_it_in_its_file_in_the_table_and_in_the_mirror(go):
    row = go({"a": ("setter", "seterr")})["a"]
    assert TrialResult.from_json(row.to_json()) == row
    text = "numpy.seterr: under ignore -> raise"
    assert f"line/a/r0 changed its process: {text}" in table_notes([row])
    assert tags_of(row)["nsbench.changed"] == text


def test_check_finds_it_in_simulators_metrics_and_datasets(leaking):
    def wrongs(kind, name, **more):
        return " ".join(finding.wrong for finding in check(kind, name, registry=leaking, **more).findings)

    assert "changes its process: numpy.seterr: under ignore -> raise" in wrongs("metric", "leaky")
    assert "changes its process: os.environ: LEAKED not set -> 'test'" in wrongs("dataset", "leaky")
    found = wrongs("simulator", "setter-in-rollout", params={"changes": "seterr"}, on="line")
    assert "changes its process: numpy.seterr: under ignore -> raise" in found
    assert np.geterr()["under"] == "ignore"


def test_metrics_and_simulators_that_come_with_nsbench_leave_the_process_as_it_was(leaking, go, tmp_path, write_suite):
    text = SUITE.replace("  - {use: learner}", "  - {use: persistence}\n  - {use: frozen-neighbour}")
    text = text.replace("[length, elbo, wall_clock]", "[length, wall_clock, crps, energy_score, mmd]")
    plan = make_plan(read_suite(write_suite(text), leaking), leaking)
    outcome = run(Session(plan, leaking, Workspace(tmp_path / "w")), executor=Inline)
    assert [(row.trial, row.changed) for row in outcome.rows if row.changed] == []
    assert [row.error for row in outcome.rows if row.status != "ok"] == []


def test_what_rich_draws_when_it_is_imported_is_no_components_doing():
    """In a process of its own: rich, which POT imports, is loaded here."""
    code = (
        "from nsbench.stages.process_state import Keeper\n"
        "import random\n"
        "keeper = Keeper()\n"
        "before = random.getstate()\n"
        "import rich.style\n"
        "assert random.getstate() != before\n"
        "assert keeper.put_back() == []\n"
        "assert random.getstate() == before\n"
        "random.random()\n"
        "assert keeper.put_back() == ['random: the global generator was used']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
