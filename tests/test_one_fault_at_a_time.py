"""One call on the disk goes wrong, any one, with any error: the run ends in order, and nothing that was good is lost.

Afterwards a run on a sound disk, in the same workspace, prints the table of a run that nothing ever happened to.

    pytest tests/test_one_fault_at_a_time.py            # a sample, the same each time
    pytest -m slow tests/test_one_fault_at_a_time.py    # every call, the errors in turn
"""

from __future__ import annotations

import errno
import io
import itertools
import json
from importlib.metadata import EntryPoint, entry_points

import pytest
from rich.console import Console

from faulty_disk import KINDS, FaultyDisk
from nsbench.commands.run import run_suite
from nsbench.errors import Refusal
from nsbench.outcomes.file import load
from nsbench.registry.registry import Registry
from nsbench.running.inline import Inline
from nsbench.running.local import Local
from nsbench.store import files, inventory
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

ERRORS = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOLCK, errno.ENOSPC, errno.EACCES)

SUITE = """\
name: line
datasets:
  - {use: line, params: {train: 6, val: 2, test: 4, steps: 3}}
simulators:
  - {use: coin, as: truth}
  - {use: learner}
metrics: [length, elbo]
protocol: {stride: 1, horizon: 3, bounds: null, members: 2}
budget: {transitions: 10}
"""

SAMPLE = 6
"""Faults in the default sample."""


class Place:
    """A workspace, and a suite that is run in it."""

    def __init__(self, root, plan, registry):
        self.workspace, self._plan, self._registry = Workspace(root), plan, registry

    def run(self, executor=Inline):
        """The exit code of a run, or the message with which the command would end; its output."""
        console = Console(file=io.StringIO(), width=200)
        session = Session(self._plan, self._registry, self.workspace)
        try:
            end = run_suite(session, console, tracked=False, executor=executor)
        except (Refusal, OSError) as error:  # as `nsbench` itself takes them: a line, and no traceback
            end = str(error)
        return end, console.file.getvalue()

    def table(self):
        rows = load(self.workspace.results("line"))
        return {row.trial: (row.status, row.keys, [(s.metric, s.value, s.floor) for s in row.scores]) for row in rows}

    def damaged(self):
        """What was moved aside, and what of the store does not verify."""
        aside = [entry for entry in inventory.leftovers(self.workspace) if entry.kind == "damaged"]
        return aside + [entry for entry in inventory.artifacts(self.workspace) if inventory.damage(entry)]


@pytest.fixture(scope="module")
def planned(registry, tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "suite.yaml"
    path.write_text(SUITE)
    return make_plan(read_suite(path, registry), registry), registry


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(files, "_PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def undisturbed(planned, tmp_path_factory):
    """A run that nothing happens to, and how many calls of each kind it makes."""
    place = Place(tmp_path_factory.mktemp("undisturbed") / "w", *planned)
    with FaultyDisk(place.workspace.root).watching() as disk:
        assert place.run()[0] == 0
    assert set(disk.calls) >= {*KINDS, "read", "write"}
    return place.table(), dict(disk.calls)


def all_faults(calls):
    return [(kind, k, error) for kind in sorted(calls) for k in range(1, calls[kind] + 1) for error in ERRORS]


def endure(root, planned, fault, expected):
    """Let one call fail in a run, run again, and compare. Returns the first run's exit code, 1 for a message."""
    place = Place(root, *planned)
    with FaultyDisk(place.workspace.root).watching(fault) as disk:
        end, output = place.run()
    said = f"{fault[0]} {fault[1]}, {errno.errorcode[fault[2]]}: {disk.struck}: {end}\n{output}"
    assert "Traceback" not in output, said
    assert disk.struck, said
    assert not place.damaged(), said
    for row in load(place.workspace.results("line")):
        assert row.status == "ok" or row.error, said
    again, output = place.run()
    assert again == 0, f"{said}\nthen: {again}\n{output}"
    assert place.table() == expected, said
    assert not place.damaged(), said
    return end if isinstance(end, int) else 1


def test_a_sample_of_faults_costs_nothing_but_itself(undisturbed, planned, tmp_path):
    expected, calls = undisturbed
    faults = all_faults(calls)
    step = len(faults) // SAMPLE | 1  # odd: every error comes up
    ends = [endure(tmp_path / str(k), planned, fault, expected) for k, fault in enumerate(faults[::step])]
    print(f"\n{len(ends)} of {len(faults):,} faults, {ends.count(0)} runs were not even delayed")


@pytest.mark.parametrize(
    ("kind", "k", "error"),
    [("open", 40, errno.EIO), ("sync", 9, errno.ENOSPC), ("lock", 5, errno.ENOLCK), ("read", 12, errno.ESTALE)],
)
def test_a_fault_in_a_worker_process_fails_its_job_and_nothing_else(
    undisturbed, planned, tmp_path, monkeypatch, kind, k, error
):
    expected, _ = undisturbed
    plan, _ = planned
    registry = Registry(
        [*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "faulty_worker"))]
    )
    registry.spec("simulator", "learner")  # the plugin is loaded here before it is told of a fault
    place = Place(tmp_path / "w", plan, registry)
    struck = tmp_path / "struck"
    monkeypatch.setenv("FAULTY_DISK", json.dumps([str(place.workspace.root), [kind, k, error], str(struck)]))
    end, output = place.run(Local)
    said = f"{struck.read_text()}: {end}\n{output}"
    assert "Traceback" not in output, said
    assert not place.damaged(), said
    assert all(row.status == "ok" or row.error for row in load(place.workspace.results("line"))), said
    monkeypatch.delenv("FAULTY_DISK")
    assert place.run(Local)[0] == 0, said
    assert place.table() == expected, said
    assert not place.damaged(), said
    print("\n" + said.partition("\n")[0])


@pytest.mark.slow
def test_no_fault_costs_anything_but_itself(undisturbed, planned, tmp_path):
    """Every call once, with the errors in turn: some 2,500 faults, an hour on a busy machine."""
    expected, calls = undisturbed
    ends, wrong = [], []
    places = [(kind, k) for kind in sorted(calls) for k in range(1, calls[kind] + 1)]
    for k, (place, error) in enumerate(zip(places, itertools.cycle(ERRORS), strict=False)):
        try:
            ends.append(endure(tmp_path / str(k), planned, (*place, error), expected))
        except Exception as found:
            wrong.append(f"{place}, {errno.errorcode[error]}: {type(found).__name__}: {found}"[:2_000])
    print(f"\n{len(places):,} faults: {ends.count(0):,} runs were not even delayed, {len(wrong)} went wrong")
    assert not wrong, "\n\n".join(wrong[:20])
