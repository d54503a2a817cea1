"""A store is used by several at once: by two workspaces, and by two users of a group who run at the same time."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from rich.console import Console

import dawdler
from nsbench.commands.run import run_suite
from nsbench.components.events import Notice
from nsbench.outcomes.file import load
from nsbench.registry.registry import Registry
from nsbench.running.run import run as run_plan
from nsbench.stages.workshop import workshop_of
from nsbench.store import inventory
from nsbench.store.inventory import alone
from nsbench.store.locks import Busy, held
from nsbench.store.store import Store
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

SUITE = """\
name: line
datasets:
  - {use: line, params: {train: 8, val: 2, test: 4}}
simulators:
  - {use: coin, as: truth}
  - {use: slow, params: {rho: 0.4}}
metrics: [length, elbo]
protocol: {stride: 1, horizon: 6, bounds: null, members: 2}
budget: {transitions: 10}
"""

ONE, TWO, GROUP = 54_321, 54_322, 54_320


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    registry = Registry([*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "dawdler"))])
    path = tmp_path_factory.mktemp("suite") / "suite.yaml"
    path.write_text(SUITE)
    return make_plan(read_suite(path, registry), registry), registry


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(dawdler, "SECONDS", 0.005)


@pytest.fixture(scope="module")
def expected(planned, tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    run(planned, root)
    return table(root)


def run(planned, root):
    """Run the suite in this process; returns what it says."""
    console = Console(file=io.StringIO(), width=400)
    code = run_suite(Session(*planned, Workspace(root)), console, tracked=False)
    assert code == 0, console.file.getvalue()
    return console.file.getvalue()


def table(root):
    rows = load(Workspace(root).results("line"))
    return {row.trial: (row.status, row.keys, [(s.metric, s.value, s.floor) for s in row.scores]) for row in rows}


def require_sound(root):
    workspace = Workspace(root)
    assert inventory.leftovers(workspace) == []
    assert [inventory.damage(entry) for entry in inventory.artifacts(workspace) if inventory.damage(entry)] == []


def child(work):
    """Do work in a process of its own; returns its number. It exits with 1, and says why, if the work raises."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    os._exit(0)


def join(*pids):
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)


def test_two_workspaces_on_one_store_share_its_locks(planned, tmp_path):
    """What the one makes the other waits for, and says for whom."""
    (tmp_path / "a" / "store").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "store").symlink_to(tmp_path / "a" / "store", target_is_directory=True)
    model = next(trial.model for trial in planned[0].trials if "slow" in trial.id)
    lock = tmp_path / "a" / "store" / "locks" / f"model-{model.digest}"
    (tmp_path / "go on").touch()

    def hold():
        with held(lock):
            while (tmp_path / "go on").exists():
                time.sleep(0.02)

    holder = child(hold)
    while not lock.exists() or not lock.read_text():
        time.sleep(0.01)
    said = tmp_path / "said"
    said.touch()

    def listen(event):
        if isinstance(event, Notice):
            with said.open("a") as file:
                file.write(event.message + "\n")

    plan, registry = planned
    session = Session(plan, registry, Workspace(tmp_path / "b"))
    waiter = child(lambda: run_plan(session, [listen]))
    while "waiting" not in said.read_text():
        assert os.waitpid(waiter, os.WNOHANG) == (0, 0), "it waits for nobody"
        time.sleep(0.02)
    (tmp_path / "go on").unlink()
    join(holder, waiter)
    first, then = said.read_text().splitlines()
    assert first.startswith(f"waiting for the model {model.digest[:12]} that another process makes, held by ")
    assert f":{holder} since " in first
    assert then == f"the model {model.digest[:12]} is free, and the work goes on"


def test_who_waits_for_a_lock_stops_when_the_run_is_to_end(planned, tmp_path):
    plan, registry = planned
    workshop = workshop_of(Session(plan, registry, Workspace(tmp_path)))
    trial = next(trial for trial in plan.trials if "slow" in trial.id)
    lock = tmp_path / "store" / "locks" / f"model-{trial.model.digest}"
    asked, told = [], []

    def stopping():
        asked.append(1)
        return len(asked) > 3

    workshop = replace(workshop, stopping=stopping, waiting=told.append)
    with held(lock), pytest.raises(KeyboardInterrupt):
        workshop.obtain(trial.id, trial.model, "fit", lambda: pytest.fail, set())
    assert told == [True]
    assert not (tmp_path / "store" / "model").exists()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


@pytest.fixture
def group_folder():
    """A folder that a group may write to, and whose files are the group's."""
    around = Path(tempfile.mkdtemp(prefix="nsbench-group-"))
    around.chmod(0o755)
    folder = around / "w"
    folder.mkdir()
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)
    yield folder
    shutil.rmtree(around)


def as_user(uid, umask, work):
    """Do work in a process of its own as another user, a member of the group."""

    def change_and_work():
        os.setgroups([GROUP])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.umask(umask)
        work()

    return child(change_and_work)


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o002], ids=["022", "002"])
def test_two_users_of_a_group_share_a_workspace(planned, expected, group_folder, umask):
    """They run at the same time, then one after the other with work of the first half done and a row to add."""
    join(
        as_user(ONE, umask, lambda: run(planned, group_folder)), as_user(TWO, umask, lambda: run(planned, group_folder))
    )
    assert table(group_folder) == expected
    require_sound(group_folder)
    workspace = Workspace(group_folder)
    first_owner = workspace.results("line").stat().st_uid
    other = TWO if first_owner == ONE else ONE
    for kind in ("model", "score"):
        shutil.rmtree(workspace.store / kind)
    workspace.results("line").write_text("")  # by root, whose writing changes no owner
    join(as_user(other, umask, lambda: run(planned, group_folder)))
    assert table(group_folder) == expected
    require_sound(group_folder)


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o002], ids=["022", "002"])
def test_who_uses_a_groups_store_is_protected_from_another_members_prune(group_folder, umask):
    store = group_folder / "store"

    def use():
        with Store(store).in_use():
            (group_folder / f"in use by {os.getuid()}").touch()
            while not (group_folder / "done").exists():
                time.sleep(0.02)

    def use_too():
        with Store(store).in_use():
            pass

    def prune():
        with pytest.raises(Busy), alone(Workspace(group_folder)):
            pass

    user = as_user(ONE, umask, use)
    while not (group_folder / f"in use by {ONE}").exists():
        time.sleep(0.02)
    join(as_user(TWO, umask, use_too))
    join(as_user(TWO, umask, prune))
    (group_folder / "done").touch()
    join(user)


@needs_root
def test_a_workspace_that_is_not_a_groups_is_refused_with_the_cure(planned, group_folder):
    """User one made it in a folder of his own that others may not write to, and then opened only the store's folder."""
    group_folder.chmod(0o777)
    join(as_user(ONE, 0o022, lambda: run(planned, group_folder)))
    (group_folder / "store" / ".lock").chmod(0o644)

    def refused():
        with pytest.raises(OSError, match=r"chmod g\+ws"), Store(group_folder / "store").in_use():
            pass

    join(as_user(TWO, 0o022, refused))
